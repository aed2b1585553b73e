"""What is told of every call: one log line, and the counters it raises."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from math import inf
from time import perf_counter

import grpc
import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from server.kernel.principal import Call

_SERVER_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0, inf)


class _Calls(Collector):
    """Counts ended calls and their seconds; Prometheus' own objects cost a call several times as much."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, tuple[list[int], list[float]]] = {}

    def count(self, method: str, code: str, seconds: float) -> None:
        key = (method, code)
        self._codes[key] = self._codes.get(key, 0) + 1
        found = self._seconds.get(method)
        if found is None:
            found = self._seconds[method] = [0] * len(_BUCKETS), [0.0]
        buckets, total = found
        buckets[bisect_left(_BUCKETS, seconds)] += 1
        total[0] += seconds

    def collect(self) -> Iterator[Metric]:
        """What has been counted so far. It is asked on a thread of its own, while calls go on."""
        calls = CounterMetricFamily("atrium_rpc_calls", "Calls that have ended.", labels=["method", "code"])
        for labels, number in list(self._codes.items()):
            calls.add_metric(labels, number)
        yield calls
        seconds = HistogramMetricFamily(
            "atrium_rpc_seconds", "Seconds from a call's arrival to its end.", labels=["method"]
        )
        for method, (buckets, total) in list(self._seconds.items()):
            counts = zip(map(floatToGoString, _BUCKETS), accumulate(buckets), strict=True)
            seconds.add_metric([method], [(bound, float(number)) for bound, number in counts], sum_value=total[0])
        yield seconds


class Observe:
    """Logs and counts calls as they end. Never looks into a request or a reply: they are the tenants'."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._log = structlog.get_logger("atrium.rpc").bind()  # now, and not anew for each call
        self._calls = _Calls()
        registry.register(self._calls)

    def ended(self, call: Call, code: grpc.StatusCode, started: float, reason: str | None = None) -> None:
        """The call ended. `started`: `perf_counter()` at its arrival."""
        seconds = perf_counter() - started
        name = code.name
        self._calls.count(call.method, name, seconds)
        principal = call.principal
        log = self._log.error if code in _SERVER_FAULTS else self._log.info
        log(
            "call",
            method=call.method,
            code=name,
            reason=reason,
            ms=round(seconds * 1000, 3),
            request_id=call.request_id,
            trace_id=call.trace_id,
            tenant_id=principal and principal.tenant_id,
            user_id=principal and principal.user_id,
        )

    def crashed(self, call: Call, error: Exception) -> None:
        """Something unforeseen happened: its cause is for the operator alone."""
        self._log.error("unforeseen error", method=call.method, request_id=call.request_id, exc_info=error)
