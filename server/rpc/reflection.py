"""grpc.reflection: what services there are, for clients without the protos."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any

from grpc_reflection.v1alpha._async import ReflectionServicer

from server.rpc.steps.shed import Shed

# Anybody may ask, and leave the stream open for as long as its ceiling lets them.
_MOST_AT_ONCE = 200


class Reflection:
    """grpcio's own, for so many at a time."""

    def __init__(self, names: Iterable[str]) -> None:
        self._servicer = ReflectionServicer(names)
        self._places = Shed(_MOST_AT_ONCE)

    async def ServerReflectionInfo(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """Raises ServerBusy."""
        with self._places:
            async with aclosing(self._servicer.ServerReflectionInfo(requests, context)) as replies:
                async for reply in replies:
                    yield reply
