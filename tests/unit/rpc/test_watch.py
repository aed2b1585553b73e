"""The look at running streams: each is ended with its caller's right to it, whatever happens at the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from atrium.identity.v1 import session_pb2
from server.kernel.errors import DatabaseUnavailable, Unauthenticated
from server.kernel.ids import uuid7
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, current_call
from server.rpc.chain import Chain, Steps
from server.rpc.policy import Rule
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.observe import Observe
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import Credentials, Trace
from server.rpc.steps.validate import Validate

BOUND = 20.0


class Gone(Unauthenticated):
    """They are gone."""


class Doorkeeper:
    """Knows everybody; of whom it is asked again, it says what it was told to."""

    def __init__(self) -> None:
        self.says: dict[str, Exception | None] = {}
        self.permissions = frozenset[Permission]()
        self.asked: asyncio.Queue[str] = asyncio.Queue()
        self.answers = asyncio.Event()
        self.answers.set()

    def recall(self, rule: Rule, credentials: Credentials) -> Principal:
        return Principal(uuid7(), uuid7(), uuid7(), self.permissions)

    async def confirm(self, principal: Principal, credentials: Credentials) -> Principal:
        name = str(credentials.authorization)
        self.asked.put_nowait(name)
        if name == "never answers":
            await asyncio.Event().wait()
        error = self.says.get(name)
        if error is not None:
            raise error
        await self.answers.wait()
        return replace(principal, permissions=self.permissions)


class Context:
    """What a handler sees of a call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun = asyncio.Event()
        self.replies: asyncio.Queue[Any] = asyncio.Queue()
        self.ended: asyncio.Future[grpc.StatusCode] = asyncio.get_running_loop().create_future()

    def invocation_metadata(self) -> Any:
        return (("authorization", self.name), ("x-tenant-id", "named"))

    def peer(self) -> str:
        return "unix:"

    def set_trailing_metadata(self, metadata: Any) -> None: ...

    async def send_initial_metadata(self, metadata: Any) -> None: ...

    def cancelled(self) -> bool:
        return False

    async def write(self, reply: Any) -> None:
        self.replies.put_nowait(reply)
        self.begun.set()

    async def abort(self, code: grpc.StatusCode, text: str, trailers: Any) -> None:
        self.ended.set_result(code)
        self.begun.set()


class Log:
    """Where nobody reads who entered."""

    async def entered(self, call: Call) -> None: ...


async def _for_ever(request: Any, context: Any) -> AsyncIterator[str]:
    yield "begun"
    await asyncio.Event().wait()


async def _each_renewal(request: Any, context: Any) -> AsyncIterator[frozenset[Permission]]:
    renewed = asyncio.Event()
    current_call().renewed = renewed.set
    while True:
        yield current_call().caller.permissions
        await renewed.wait()
        renewed.clear()


async def _tenants(request: Any, context: Any) -> AsyncIterator[Any]:
    """In which tenant it is run, again and again."""
    while True:
        yield current_call().caller.tenant_id
        await asyncio.sleep(0)


@asynccontextmanager
async def _streams(
    doorkeeper: Any, *names: str, handler: Any = _for_ever, enter: Any = None
) -> AsyncIterator[dict[str, Context]]:
    """Streams that have begun, and are looked at all the time. `enter`: how they enter another tenant."""
    nothing: Any = None
    observe = Observe(CollectorRegistry())

    async def stay(call: Call, tenant: str) -> None: ...

    log: Any = Log()
    steps = Steps(Trace(), Shed(100), doorkeeper, enter or stay, Authorize(log, nothing), Validate(), nothing, observe)  # type: ignore[arg-type]
    chain = Chain(steps, BOUND, look_seconds=0.01)
    handle = chain.wrap(
        "/a.B/C", Rule("authenticated"), handler, session_pb2.WhoAmIRequest, None, requests=False, responses=True
    )
    contexts = {name: Context(name) for name in names}
    tasks = [asyncio.create_task(handle(b"", context)) for context in contexts.values()]
    tasks.append(asyncio.create_task(chain.watch()))
    async with asyncio.timeout(BOUND):
        for context in contexts.values():
            await context.begun.wait()
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


async def test_a_stream_goes_on_as_who_its_caller_is_now() -> None:
    doorkeeper = Doorkeeper()
    async with _streams(doorkeeper, "one", handler=_each_renewal) as streams:
        assert await streams["one"].replies.get() == frozenset()

        await _asked(doorkeeper, "one", 3)
        assert streams["one"].replies.empty()  # nothing is said where nothing is another
        doorkeeper.permissions = frozenset({Permission.TEMPLATES_READ})

        assert await streams["one"].replies.get() == doorkeeper.permissions


async def test_a_look_at_a_call_that_is_just_entering_a_tenant_does_not_take_it_out_again() -> None:
    doorkeeper, named = Doorkeeper(), uuid7()

    async def enter(call: Call, tenant: str) -> None:
        doorkeeper.answers.clear()
        await _asked(doorkeeper, "one", 1)  # of who they are outside
        call.principal = call.caller.inside(named)
        doorkeeper.answers.set()

    async with _streams(doorkeeper, "one", handler=_tenants, enter=enter) as streams:
        seen = {await streams["one"].replies.get()}
        await _asked(doorkeeper, "one", 3)
        while not streams["one"].replies.empty():
            seen.add(streams["one"].replies.get_nowait())

        assert seen == {named}
