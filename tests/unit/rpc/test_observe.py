"""What is told of a call: a line for the operator, counters for the graphs, and nothing that was said in it."""

from __future__ import annotations

from time import perf_counter

import grpc
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from server.kernel.ids import uuid7
from server.kernel.principal import Call, Principal
from server.rpc.steps.observe import Observe

METHOD = "/s/M"


@pytest.mark.parametrize(
    ("code", "level"), [("OK", "info"), ("NOT_FOUND", "info"), ("INTERNAL", "error"), ("UNKNOWN", "error")]
)
def test_a_call_that_ends_is_one_line_and_one_count(code: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.rpc.steps.observe.perf_counter", lambda: 102.0)
    registry = CollectorRegistry()
    principal = Principal(uuid7(), uuid7(), uuid7(), frozenset())
    call = Call(METHOD, "request", "trace", "span", principal=principal)

    with capture_logs() as lines:
        Observe(registry).ended(call, grpc.StatusCode[code], 100.0, "REASON")

    (line,) = lines
    assert line.pop("ms") == 2_000
    assert line == {
        "event": "call",
        "log_level": level,
        "method": METHOD,
        "code": code,
        "reason": "REASON",
        "request_id": "request",
        "trace_id": "trace",
        "tenant_id": principal.tenant_id,
        "user_id": principal.user_id,
    }
    assert registry.get_sample_value("atrium_rpc_calls_total", {"method": METHOD, "code": code}) == 1
    buckets = {
        bound: registry.get_sample_value("atrium_rpc_seconds_bucket", {"method": METHOD, "le": bound})
        for bound in ("1.0", "2.5")
    }
    assert buckets == {"1.0": 0, "2.5": 1}


def test_calls_are_counted_by_method_and_code() -> None:
    registry = CollectorRegistry()
    observe = Observe(registry)

    with capture_logs() as lines:
        for method, code in (("/s/M", "OK"), ("/s/M", "OK"), ("/s/M", "ABORTED"), ("/s/N", "OK")):
            observe.ended(Call(method, "request", "trace", "span"), grpc.StatusCode[code], perf_counter())

    def calls(method: str, code: str) -> float | None:
        return registry.get_sample_value("atrium_rpc_calls_total", {"method": method, "code": code})

    assert (calls("/s/M", "OK"), calls("/s/M", "ABORTED"), calls("/s/N", "OK")) == (2, 1, 1)
    assert registry.get_sample_value("atrium_rpc_seconds_count", {"method": "/s/M"}) == 3
    assert {line["user_id"] for line in lines} == {None}


def test_what_was_not_foreseen_is_told_with_its_cause() -> None:
    error = ZeroDivisionError()

    with capture_logs() as lines:
        Observe(CollectorRegistry()).crashed(Call(METHOD, "request", "trace", "span"), error)

    assert [(line["log_level"], line["exc_info"], line["request_id"]) for line in lines] == [
        ("error", error, "request")
    ]
