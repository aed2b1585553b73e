"""grpc.health.v1: whether the server takes calls, for whoever sends it some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2 as pb

Context: TypeAlias = grpc.aio.ServicerContext

# Anybody may watch, and for as long as they like.
_MOST_WATCHERS = 1_000


class Health:
    """The health of services that all serve until the server stops, for those who ask at one port.

    grpcio's own has no `List`, lets one watcher who does not read hold up the others and the shutdown, and is cut off
    before its watchers hear that the server stops.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(("", *services))
        self._status = pb.HealthCheckResponse.SERVING
        self._watchers = 0

    def stop(self) -> None:
        """Says NOT_SERVING from now on; watchers hear it as their streams are ended."""
        self._status = pb.HealthCheckResponse.NOT_SERVING

    async def Check(self, request: pb.HealthCheckRequest, context: Context) -> pb.HealthCheckResponse:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "No service of this name.")
        return pb.HealthCheckResponse(status=self._status)

    async def List(self, request: pb.HealthListRequest, context: Context) -> pb.HealthListResponse:  # noqa: ARG002
        return pb.HealthListResponse(
            statuses={name: pb.HealthCheckResponse(status=self._status) for name in self._services}
        )

    async def Watch(
        self,
        request: pb.HealthCheckRequest,
        context: Context,
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        if self._watchers >= _MOST_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "As many watch as may: ask with Check.")
        self._watchers += 1
        try:
            known = request.service in self._services
            yield pb.HealthCheckResponse(status=self._status if known else pb.HealthCheckResponse.SERVICE_UNKNOWN)
            await asyncio.Event().wait()  # nothing changes until the stream is ended
        except asyncio.CancelledError:
            if known and self._status == pb.HealthCheckResponse.NOT_SERVING:
                await context.write(pb.HealthCheckResponse(status=self._status))
            raise
        finally:
            self._watchers -= 1
