"""What is told of every call: one log line, and the counters it raises."""

from __future__ import annotations

from time import perf_counter

import grpc
import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.kernel.principal import Call

_SERVER_FAULTS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0)


class Observe:
    """Logs and counts calls as they end. Never looks into a request or a reply: they are the tenants'."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._log = structlog.get_logger("atrium.rpc")
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._calls = Counter("atrium_rpc_calls", "Calls that have ended.", ["method", "code"], registry=registry)
        self._seconds = Histogram(
            "atrium_rpc_seconds",
            "Seconds from a call's arrival to its end.",
            ["method"],
            buckets=_BUCKETS,
            registry=registry,
        )

    def ended(self, call: Call, code: grpc.StatusCode, started: float, reason: str | None = None) -> None:
        """The call ended. `started`: `perf_counter()` at its arrival."""
        seconds = perf_counter() - started
        calls, histogram = self._meters(call.method, code.name)
        calls.inc()
        histogram.observe(seconds)
        principal = call.principal
        log = self._log.error if code in _SERVER_FAULTS else self._log.info
        log(
            "call",
            method=call.method,
            code=code.name,
            reason=reason,
            ms=round(seconds * 1000, 3),
            request_id=call.request_id,
            trace_id=call.trace_id,
            tenant_id=principal and str(principal.tenant_id),
            user_id=principal and str(principal.user_id),
        )

    def _meters(self, method: str, code: str) -> tuple[Counter, Histogram]:
        """The two of a method and a code, looked up once: the client's own look-up takes longer than counting."""
        found = self._known.get((method, code))
        if found is None:
            found = self._known[method, code] = self._calls.labels(method, code), self._seconds.labels(method)
        return found

    def crashed(self, call: Call, error: Exception) -> None:
        """Something unforeseen happened: its cause is for the operator alone."""
        self._log.error("unforeseen error", method=call.method, request_id=call.request_id, exc_info=error)
