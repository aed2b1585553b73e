"""The server itself, with services that are not ours: what it does not start with, and how long it lets them run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.rpc import error_details_pb2
from prometheus_client import CollectorRegistry

from server.kernel.principal import Call, Principal
from server.rpc.chain import Chain, Steps
from server.rpc.policy import PolicyError
from server.rpc.server import RpcServer, Service
from server.rpc.steps.authenticate import Authenticate
from server.rpc.steps.authorize import Authorize
from server.rpc.steps.enter import Enter
from server.rpc.steps.observe import Observe
from server.rpc.steps.repeat import Repeat
from server.rpc.steps.shed import Shed
from server.rpc.steps.trace import Trace
from server.rpc.steps.validate import Validate
from server.settings import Settings
from tests.factories.services import NO_RULE, service
from tests.factories.world import refused


class Nobody:
    """Stands for all that a call of everybody's does not need: it knows nobody, and nothing."""

    def recall(self, credential: str) -> Principal | None:
        return None

    async def entered(self, call: Call) -> None:
        raise AssertionError("nobody is inside a tenant")


class Servicer:
    """Its streams begin, and then nothing comes."""

    def __init__(self) -> None:
        self.begun, self.closed = asyncio.Event(), asyncio.Event()

    async def Stream(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.begun.set()
        try:
            yield request
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def Do(self, request: Any, context: Any) -> Any:
        return request


def _server(*services: Service) -> RpcServer:
    nobody: Any = Nobody()
    steps = Steps(
        Trace(),
        Shed(10),
        Authenticate(nobody, nobody),
        Enter(nobody, nobody),
        Authorize(nobody, nobody),
        Validate(),
        Repeat(nobody, [b"key"]),
        Observe(CollectorRegistry()),
    )
    return RpcServer(Settings(address="127.0.0.1:0"), Chain(steps, ceiling=30.0), services)


async def test_it_is_not_made_with_a_method_that_declares_no_rule() -> None:
    with pytest.raises(PolicyError, match=r"/p\.S/Do: declares no"):
        _server(Service(service(Do=NO_RULE, Stream={"public": True}), Servicer()))


async def test_a_stream_ends_at_its_methods_ceiling_and_lets_go_of_what_it_holds() -> None:
    for ceiling in (0.3, 3.0, 30.0):  # on a busy machine a low one may be reached before the stream begins
        if await _ends_at_its_ceiling(ceiling):
            return
    raise AssertionError("it never began")


async def _ends_at_its_ceiling(ceiling: float) -> bool:
    """False where it had not begun by then."""
    servicer = Servicer()
    nanos = {"seconds": int(ceiling), "nanos": round(ceiling % 1 * 1e9)}
    described = service(streaming=True, Stream={"public": True, "ceiling": nanos})
    message = message_factory.GetMessageClass(described.methods[0].input_type)
    server = _server(Service(described, servicer))
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_stream(
            "/p.S/Stream", request_serializer=message.SerializeToString, response_deserializer=message.FromString
        )
        stream = method(message(), timeout=60)
        try:
            begun = await stream.read() == message()
        except grpc.aio.AioRpcError:
            begun = False

        refusal = await refused(_next(stream))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "CEILING_REACHED")
        assert refusal.detail(error_details_pb2.ErrorInfo).metadata["seconds"] == str(ceiling)
        assert servicer.closed.is_set() or not begun
    await server.stop(1.0)
    return begun


async def test_a_stream_that_is_ended_while_its_first_reply_is_being_written_ends_with_the_reason() -> None:
    servicer = Servicer()
    described = service(streaming=True, Stream={"public": True})
    message = message_factory.GetMessageClass(described.methods[0].input_type)
    large = message.FromString(b"\x0a\x80\x80\x80\x01" + bytes(2 << 20))  # more than gRPC sends who does not read
    server = _server(Service(described, servicer))
    port = await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_stream(
            "/p.S/Stream", request_serializer=message.SerializeToString, response_deserializer=message.FromString
        )
        stream = method(large, timeout=60)
        await servicer.begun.wait()

        stopping = asyncio.create_task(server.stop(20.0))
        await servicer.closed.wait()

        refusal = await refused(_rest(stream))
        await stopping
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_SHUTTING_DOWN")


async def _next(stream: Any) -> Any:
    return await stream.read()


async def _rest(stream: Any) -> None:
    async for _ in stream:
        pass
