"""What one client, or many, can take of a server before they are told to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from atrium.identity.v1 import identity_service_pb2_grpc, session_pb2, user_pb2
from atrium.model.v1 import chat_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.servers import serving

CODE = grpc.StatusCode
NOT_FOR_EVER = 20.0
WHO = session_pb2.WhoAmIRequest()
USERS = user_pb2.ListUsersRequest()
HELLO = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]


@asynccontextmanager
async def _world_of(scratch: Scratch, *models: str, **settings: Any) -> AsyncIterator[tuple[World, OpenAIStub, int]]:
    """A server with these settings and these models of a stubbed provider; the port it is on."""
    async with OpenAIStub() as stub:
        keys = {stub.base_url: SecretStr("")}
        async with (
            serving(scratch.settings(provider_keys=keys, **settings)) as (app, port),
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            administrator = await app.founding.first_platform_administrator()
            assert administrator is not None
            world = World(channel, administrator)
            for name in models:
                await make_model(world, stub.base_url, name)
            yield world, stub, port


def _chat(world: World, person: Person, name: str) -> Any:
    return world.models.Chat(chat_pb2.ChatRequest(model=name, messages=HELLO), metadata=person.metadata)


async def test_calls_past_the_limit_in_flight_are_told_when_to_come_again(scratch: Scratch) -> None:
    async with _world_of(scratch, "stub-silent", max_in_flight=2) as (world, stub, _):
        administrator = await world.tenant()
        running = [_chat(world, administrator, "stub-silent") for _ in range(2)]
        for _ in running:
            await asyncio.wait_for(stub.arrival(), NOT_FOR_EVER)

        refusal = await refused(world.identity.WhoAmI(WHO, metadata=administrator.metadata))
        public = await refused(world.identity.GetJwks(session_pb2.GetJwksRequest()))
        health = await world.health.Check(health_pb2.HealthCheckRequest())

        for told in (refusal, public):
            assert (told.code, told.reason) == (CODE.RESOURCE_EXHAUSTED, "SERVER_BUSY")
            assert told.detail(error_details_pb2.RetryInfo).retry_delay.ToTimedelta().total_seconds() == 0.5
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        for call in running:
            call.cancel()
        for exchange in stub.exchanges:
            await asyncio.wait_for(exchange.left.wait(), NOT_FOR_EVER)
        async with asyncio.timeout(NOT_FOR_EVER):
            while (await _code(world.identity.WhoAmI(WHO, metadata=administrator.metadata))) is not CODE.OK:
                pass


async def test_a_connection_has_so_many_calls_at_once_and_another_is_not_held_up(scratch: Scratch) -> None:
    async with _world_of(scratch, "stub-silent", max_streams_per_connection=3) as (world, stub, port):
        administrator = await world.tenant()
        running = [_chat(world, administrator, "stub-silent") for _ in range(3)]
        for _ in running:
            await asyncio.wait_for(stub.arrival(), NOT_FOR_EVER)

        waiting = asyncio.ensure_future(_code(world.identity.WhoAmI(WHO, metadata=administrator.metadata, timeout=0.5)))
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as another:
            health = await health_pb2_grpc.HealthStub(another).Check(
                health_pb2.HealthCheckRequest(), timeout=NOT_FOR_EVER
            )
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        assert await waiting is CODE.DEADLINE_EXCEEDED
        running[0].cancel()
        assert await _code(world.identity.WhoAmI(WHO, metadata=administrator.metadata, timeout=NOT_FOR_EVER)) is CODE.OK
        for call in running:
            call.cancel()


async def test_more_callers_than_a_connection_takes_at_once_wait_and_none_is_lost(scratch: Scratch) -> None:
    async with _world_of(scratch, max_streams_per_connection=10) as (world, _, _):
        ann = await world.tenant()

        async def call() -> None:
            for _ in range(20):
                await world.identity.WhoAmI(WHO, metadata=ann.metadata)

        await asyncio.gather(*(call() for _ in range(60)))


async def test_a_call_ends_at_the_servers_ceiling_and_gives_its_place_back(world: World, scratch: Scratch) -> None:
    administrator = await world.tenant()
    settings = scratch.settings(ceiling_seconds=0.5, max_in_flight=1)
    async with (
        serving(settings) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        scratch.connect() as admin,
    ):
        list_users = identity_service_pb2_grpc.IdentityServiceStub(channel).ListUsers
        async with admin.transaction():
            await admin.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")

            refusal = await refused(list_users(USERS, metadata=administrator.metadata, timeout=NOT_FOR_EVER))

            assert (refusal.code, refusal.reason) == (CODE.DEADLINE_EXCEEDED, "CEILING_REACHED")
            assert refusal.detail(error_details_pb2.ErrorInfo).metadata["seconds"] == "0.5"
        # The ceiling is low: on a busy machine one call may reach it that nothing holds up. None finds its place taken.
        async with asyncio.timeout(NOT_FOR_EVER):
            while (users := await _below_the_ceiling(list_users(USERS, metadata=administrator.metadata))) is None:
                pass
        assert [user.id for user in users.users] == [administrator.id]


async def _below_the_ceiling(call: Any) -> Any:
    """What is answered; None: the call reached the ceiling."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() is not CODE.DEADLINE_EXCEEDED:
            raise
        return None


async def test_the_callers_own_deadline_ends_a_call_and_what_it_waits_for(scratch: Scratch) -> None:
    async with _world_of(scratch, "stub-silent") as (world, stub, _):
        administrator = await world.tenant()
        request = chat_pb2.ChatRequest(model="stub-silent", messages=HELLO)

        seconds = 0.5  # which may be over before the provider is asked, on a busy machine
        async with asyncio.timeout(NOT_FOR_EVER):
            while stub.arrivals.empty():
                call = world.models.Chat(request, metadata=administrator.metadata, timeout=seconds)
                assert (await refused(call)).code is CODE.DEADLINE_EXCEEDED
                seconds *= 2

            await (await stub.arrival()).left.wait()


async def _code(call: Any) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return CODE.OK
