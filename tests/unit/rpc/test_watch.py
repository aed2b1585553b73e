"""The look at running streams: each is ended with its caller's right to it, whatever happens at the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from server.kernel.errors import DatabaseUnavailable, Unauthenticated
from server.kernel.ids import uuid7
from server.kernel.principal import Principal
from server.rpc.chain import Chain, Steps
from server.rpc.policy import Rule
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.observe import Observe
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import Credentials, Trace

BOUND = 20.0


class Gone(Unauthenticated):
    """They are gone."""


class Doorkeeper:
    """Knows everybody; of whom it is asked again, it says what it was told to."""

    def __init__(self) -> None:
        self.says: dict[str, Exception | None] = {}
        self.asked: asyncio.Queue[str] = asyncio.Queue()

    def recall(self, rule: Rule, credentials: Credentials) -> Principal:
        return Principal(uuid7(), uuid7(), uuid7(), frozenset())

    async def confirm(self, principal: Principal, credentials: Credentials) -> Principal:
        name = str(credentials.authorization)
        self.asked.put_nowait(name)
        if name == "never answers":
            await asyncio.Event().wait()
        error = self.says.get(name)
        if error is not None:
            raise error
        return principal


class Context:
    """What a handler sees of a call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = asyncio.Event()
        self.ended: asyncio.Future[grpc.StatusCode] = asyncio.get_running_loop().create_future()

    def invocation_metadata(self) -> Any:
        return (("authorization", self.name),)

    def peer(self) -> str:
        return "unix:"

    def set_trailing_metadata(self, metadata: Any) -> None: ...

    def cancelled(self) -> bool:
        return False

    async def write(self, reply: Any) -> None:
        self.begun.set()

    async def abort(self, code: grpc.StatusCode, text: str, trailers: Any) -> None:
        self.ended.set_result(code)


async def _for_ever(request: Any, context: Any) -> AsyncIterator[str]:
    yield "begun"
    await asyncio.Event().wait()


@asynccontextmanager
async def _streams(doorkeeper: Any, *names: str) -> AsyncIterator[dict[str, Context]]:
    """Streams that have begun, and are looked at all the time."""
    nothing: Any = None
    observe = Observe(CollectorRegistry())
    steps = Steps(
        Trace(), Shed(100), doorkeeper, nothing, Authorize(nothing, nothing), lambda _: None, nothing, observe
    )  # type: ignore[arg-type]
    chain = Chain(steps, BOUND, look_seconds=0.01)
    handle = chain.wrap("/a.B/C", Rule("authenticated"), _for_ever, (), None, requests=False, responses=True)
    contexts = {name: Context(name) for name in names}
    tasks = [asyncio.create_task(handle(None, context)) for context in contexts.values()]
    async with asyncio.timeout(BOUND):
        for context in contexts.values():
            await context.begun.wait()
        tasks.append(asyncio.create_task(chain.watch()))
        yield contexts
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _asked(doorkeeper: Doorkeeper, name: str, times: int) -> None:
    while times:
        times -= await doorkeeper.asked.get() == name


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), DatabaseUnavailable(), TimeoutError()], ids=repr)
async def test_a_look_that_fails_ends_neither_the_stream_nor_the_looking(error: Exception) -> None:
    doorkeeper = Doorkeeper()
    doorkeeper.says["one"] = error
    async with _streams(doorkeeper, "one", "other") as streams:
        await _asked(doorkeeper, "one", 3)
        assert not streams["one"].ended.done()

        doorkeeper.says |= {"one": Gone(), "other": Gone()}

        codes = [await stream.ended for stream in streams.values()]
    assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 2


async def test_one_that_is_waited_for_does_not_keep_the_others_waiting() -> None:
    doorkeeper = Doorkeeper()
    doorkeeper.says["other"] = Gone()
    async with _streams(doorkeeper, "never answers", "other") as streams:
        assert await streams["other"].ended is grpc.StatusCode.UNAUTHENTICATED

        assert not streams["never answers"].ended.done()
