"""What a hostile or broken client can send over a real channel, and what it is told."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from atrium.identity.v1 import session_pb2, user_pb2
from atrium.model.v1 import chat_pb2, embedding_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.rpc.policy import STANDARD_SERVICES
from tests.databases import Scratch
from tests.factories.world import Person, Refusal, World, refused
from tests.rpc.methods import AUDIT, IDENTITY, PROMPT
from tests.rpc.requests import GOOD
from tests.servers import serving

CODE = grpc.StatusCode
GET_USER = "/atrium.identity.v1.IdentityService/GetUser"
LOGIN = "/atrium.identity.v1.IdentityService/Login"
REFLECTION = "/grpc.reflection.{}.ServerReflection/ServerReflectionInfo"
STREAM_CHAT = "/atrium.model.v1.ModelService/StreamChat"

MALFORMED = {
    "cut off": b"\x0a\x24abc",
    "half a tag": b"\x0a",
    "noise": bytes(range(255, 155, -1)),
    "bad UTF-8": b"\x0a\x02\xff\xfe",
    "a surrogate": b"\x0a\x03\xed\xa0\x80",
    "groups without end": b"\x0b" * 500,
    "a wire type that is none": b"\x07",
}

SERVICES = {
    "atrium.tenant.v1.TenantService",
    "atrium.identity.v1.IdentityService",
    "atrium.model.v1.ModelService",
    "atrium.prompt.v1.PromptService",
    "atrium.audit.v1.AuditService",
    "atrium.knowledge.v1.KnowledgeService",
    "atrium.workflow.v1.WorkflowService",
}

Metadata = tuple[tuple[str, str | bytes], ...]


def _raw(world: World, path: str) -> Any:
    """The method with its bytes as they are."""
    return world.channel.unary_unary(path, request_serializer=None, response_deserializer=None)


def _assert_tells_nothing_of_the_cause(refusal: Refusal) -> None:
    text = f"{refusal.message} {refusal.details}".lower()
    for word in (
        "traceback",
        "exception",
        "protobuf",
        "google.",
        "parsing",
        "decode",
        "asyncpg",
        "postgres",
        "error in",
    ):
        assert word not in text


async def test_bytes_that_are_no_message_are_a_malformed_request_for_those_who_may_ask(world: World) -> None:
    administrator = await world.tenant()
    streaming = world.channel.unary_stream(STREAM_CHAT, request_serializer=None, response_deserializer=None)
    reflection = world.channel.stream_stream(REFLECTION.format("v1"))

    for what, data in MALFORMED.items():
        for call in (
            _raw(world, GET_USER)(data, metadata=administrator.metadata),
            _raw(world, LOGIN)(data),
            _raw(world, "/grpc.health.v1.Health/Check")(data),
            streaming(data, metadata=administrator.metadata),
            reflection(iter([data])),
        ):
            refusal = await refused(call)
            assert (refusal.code, refusal.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST"), what
            assert refusal.fields == [""], what
            _assert_tells_nothing_of_the_cause(refusal)
        for call in (_raw(world, GET_USER)(data), streaming(data)):
            unknown = await refused(call)
            assert (unknown.code, unknown.reason) == (CODE.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED"), what


async def test_whatever_the_bytes_are_no_method_fails_in_an_unforeseen_way(world: World) -> None:
    administrator = await world.tenant()
    dice = random.Random(0)
    # Bytes may happen to be the empty message, which for Logout is a good one.
    paths = sorted(GOOD.keys() - {STREAM_CHAT, PROMPT + "WatchPrompts", AUDIT + "WatchAuditLogs", IDENTITY + "Logout"})

    codes = set()
    for number in range(400):
        good = GOOD[paths[number % len(paths)]].SerializeToString() or bytes(8)
        data = bytearray(good if number % 2 else dice.randbytes(dice.randrange(1, 64)))
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            await _raw(world, paths[number % len(paths)])(bytes(data), metadata=administrator.metadata)
        except grpc.aio.AioRpcError as error:
            codes.add(error.code())

    assert codes <= {CODE.INVALID_ARGUMENT, CODE.NOT_FOUND, CODE.PERMISSION_DENIED, CODE.UNAUTHENTICATED}
    assert CODE.INVALID_ARGUMENT in codes


async def test_an_unfinished_message_from_whoever_lacks_the_permission_is_denied(world: World) -> None:
    nobody = await world.nobody(await world.tenant())

    refusal = await refused(_raw(world, GET_USER)(b"\x0a", metadata=nobody.metadata))

    assert (refusal.code, refusal.reason) == (CODE.PERMISSION_DENIED, "PERMISSION_MISSING")


async def test_nul_is_refused_with_every_field_named(world: World) -> None:
    administrator = await world.tenant()
    extra = {"note": "a\0b"}

    for call, fields in (
        (world.identity.Login(session_pb2.LoginRequest(tenant="a\0", login="b\0", password="c")), ["tenant", "login"]),
        (world.identity.Login(session_pb2.LoginRequest(tenant="a\0")), ["tenant", "login", "password"]),
        (
            world.identity.UpdateUser(
                user_pb2.UpdateUserRequest(id=administrator.id, full_name="A\0"), metadata=administrator.metadata
            ),
            ["full_name"],
        ),
        (
            world.models.Embed(
                embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a", "\0"]), metadata=administrator.metadata
            ),
            ["inputs[1]"],
        ),
        (
            world.tenants.UpdateTenantConfig(
                tenant_config_pb2.UpdateTenantConfigRequest(extra_config=extra), metadata=administrator.metadata
            ),
            ["extra_config.fields[...].string_value"],
        ),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.fields) == (CODE.INVALID_ARGUMENT, fields)
        _assert_tells_nothing_of_the_cause(refusal)


async def test_of_very_many_malformed_fields_the_first_are_named(world: World) -> None:
    administrator = await world.tenant()
    asked = chat_pb2.ChatRequest(model="local-chat", messages=[chat_pb2.ChatMessage()] * 1_000)
    mask = {"paths": [f"no_such_field_{number}" for number in range(1_000)]}

    for call in (
        world.models.Chat(asked, metadata=administrator.metadata),
        world.identity.UpdateUser(
            user_pb2.UpdateUserRequest(id=administrator.id, update_mask=mask), metadata=administrator.metadata
        ),
        _raw(world, GET_USER)(b"", metadata=administrator.metadata),
    ):
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (CODE.INVALID_ARGUMENT, "INVALID_REQUEST")
        assert refusal.fields


async def test_a_list_without_end_is_not_looked_through(world: World) -> None:
    administrator = await world.tenant()
    empties = b"\x12\x00" * 2_000_000

    nobody = await refused(_raw(world, "/atrium.model.v1.ModelService/Chat")(empties))
    refusal = await refused(_raw(world, "/atrium.model.v1.ModelService/Chat")(empties, metadata=administrator.metadata))

    assert (nobody.code, nobody.reason) == (CODE.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED")
    assert (refusal.code, refusal.fields) == (CODE.INVALID_ARGUMENT, ["messages"])


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_message_is_as_long_as_it_is_unpacked(world: World, compression: grpc.Compression) -> None:
    administrator = await world.tenant()
    small = session_pb2.WhoAmIRequest()
    large = embedding_pb2.EmbedRequest(inputs=["x" * 1_000_000] * 20)

    refusal = await refused(world.models.Embed(large, metadata=administrator.metadata, compression=compression))

    assert (refusal.code, refusal.details) == (CODE.RESOURCE_EXHAUSTED, [])
    me = await world.identity.WhoAmI(small, metadata=administrator.metadata, compression=compression)
    assert me.user_id == administrator.id


async def test_a_message_over_the_limit_is_refused_and_the_channel_lives_on(world: World) -> None:
    administrator = await world.tenant()
    inputs = ["x" * 1_000_000] * 5

    refusal = await refused(
        world.models.Embed(embedding_pb2.EmbedRequest(inputs=inputs), metadata=administrator.metadata)
    )

    assert (refusal.code, refusal.details) == (CODE.RESOURCE_EXHAUSTED, [])
    _assert_tells_nothing_of_the_cause(refusal)
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)


async def test_too_much_metadata_has_a_clean_answer_and_the_channel_lives_on(world: World) -> None:
    administrator = await world.tenant()

    for metadata in (
        (("x-noise", "n" * 20_480),),
        tuple((f"x-noise-{number}", "n" * 1_000) for number in range(21)),
        (("x-noise-bin", bytes(20_480)),),
        (("authorization", "Bearer " + "n" * 20_480),),
    ):
        refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
        assert (refusal.code, refusal.details) == (CODE.RESOURCE_EXHAUSTED, [])
        _assert_tells_nothing_of_the_cause(refusal)
        await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)


async def test_as_much_metadata_as_is_allowed_is_let_pass(world: World) -> None:
    administrator = await world.tenant()
    metadata = (*administrator.metadata, ("x-noise", "n" * 12_000))

    assert (await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)).user_id == administrator.id


async def test_a_method_that_is_not_there_is_unimplemented(world: World) -> None:
    for path in ("/atrium.identity.v1.IdentityService/Nothing", "/no.Such/Service", "/", "/a"):
        refusal = await refused(_raw(world, path)(b""))
        assert (refusal.code, refusal.details) == (CODE.UNIMPLEMENTED, []), path


async def test_anything_but_one_bearer_token_is_unauthenticated(world: World) -> None:
    for metadata in (
        (("authorization", "Bearer"),),
        (("authorization", "Basic YTpi"),),
        (("authorization", "Bearer a"), ("authorization", "Bearer b")),
        (("authorization-bin", b"Bearer a"),),
        (("x-api-key", ""),),
        (("x-api-key", "a"), ("x-api-key", "a")),
        (("cookie", "authorization=Bearer a"),),
        (("authorization", "Bearer a"), ("x-api-key", "a")),
    ):
        refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
        assert (refusal.code, refusal.reason) == (CODE.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED"), metadata
        assert "needs one credential" in refusal.message
        assert refusal.message.endswith("not both.")


async def test_a_good_token_beside_another_is_not_good(world: World) -> None:
    administrator = await world.tenant()

    for twice in (
        (*administrator.metadata, *administrator.metadata),
        (("authorization", "Bearer x"), *administrator.metadata),
    ):
        refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=twice))
        assert refusal.code is CODE.UNAUTHENTICATED


async def test_a_tenants_id_in_a_header_or_a_body_moves_nobody_out_of_their_tenant(world: World) -> None:
    own, other = await world.tenant(), await world.tenant()

    def claiming(person: Person) -> Metadata:
        return (
            *person.metadata,
            ("x-tenant-id", other.tenant_id),
            ("tenant-id", other.tenant_id),
            ("tid", other.tenant_id),
        )

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=claiming(own))
    users = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=claiming(own))
    mine = await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), metadata=claiming(own))
    foreign = await refused(
        world.tenants.UpdateTenantConfig(
            tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=other.tenant_id, temperature=1.5),
            metadata=claiming(own),
        )
    )
    made = await world.identity.CreateUser(
        user_pb2.CreateUserRequest(username="new", email="new@example.com"), metadata=claiming(own)
    )

    assert (me.tenant_id, mine.tenant.id) == (own.tenant_id, own.tenant_id)
    assert [found.id for found in users.users] == [own.id]
    assert foreign.code is CODE.NOT_FOUND
    config = await world.tenants.GetTenantConfig(tenant_config_pb2.GetTenantConfigRequest(), metadata=other.metadata)
    assert config.config.temperature != 1.5
    theirs = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=other.metadata)
    assert made.user.id not in {found.id for found in theirs.users}


async def test_health_is_told_overall_and_for_each_service_without_a_credential(world: World) -> None:
    up, names = health_pb2.HealthCheckResponse.SERVING, ["", *sorted(SERVICES)]

    for name in names:
        request = health_pb2.HealthCheckRequest(service=name)
        watch = world.health.Watch(request)
        assert (await world.health.Check(request)).status == up
        assert (await asyncio.wait_for(watch.read(), 20)).status == up
        watch.cancel()
    listed = await world.health.List(health_pb2.HealthListRequest())
    assert {name: found.status for name, found in listed.statuses.items()} == dict.fromkeys(names, up)


async def test_the_health_of_a_service_that_is_not_there_is_unknown(world: World) -> None:
    absent = health_pb2.HealthCheckRequest(service="no.Such")

    refusal = await refused(world.health.Check(absent))
    watch = world.health.Watch(absent)

    assert refusal.code is CODE.NOT_FOUND
    assert (await asyncio.wait_for(watch.read(), 20)).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_every_service(world: World, version: str) -> None:
    call = world.channel.stream_stream(
        REFLECTION.format(version),
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    replies = call(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))

    (reply,) = [reply async for reply in replies]

    assert {service.name for service in reply.list_services_response.service} == SERVICES | {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }


async def test_streams_of_reflection_that_stay_open_are_so_many_and_end(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.rpc.reflection._MOST_AT_ONCE", 2)
    rule = replace(STANDARD_SERVICES["grpc.reflection.v1alpha.ServerReflection"], ceiling=3.0)  # under both names
    monkeypatch.setitem(STANDARD_SERVICES, "grpc.reflection.v1alpha.ServerReflection", rule)
    async with (
        serving(scratch.settings()) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        ask = channel.stream_stream(
            REFLECTION.format("v1"),
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        opened = [ask(timeout=60) for _ in range(3)]

        ends = [(await refused(stream.read())).reason for stream in opened]

        assert sorted(ends) == ["CEILING_REACHED", "CEILING_REACHED", "SERVER_BUSY"]


async def test_reflection_is_off_where_it_is_not_asked_for(scratch: Scratch) -> None:
    async with (
        serving(scratch.settings(environment="production")) as (_, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        for version in ("v1", "v1alpha"):
            # Nothing is sent, since what is being sent as the refusal comes fails in the client, by another code.
            call = channel.stream_stream(REFLECTION.format(version))()
            assert await call.code() is CODE.UNIMPLEMENTED
        assert (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())).status == 1


async def test_reflection_describes_a_service_with_all_it_needs(world: World) -> None:
    call = world.channel.stream_stream(
        REFLECTION.format("v1"),
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    symbol = reflection_pb2.ServerReflectionRequest(file_containing_symbol="atrium.model.v1.ModelService")
    absent = reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.Such")

    found, missing = [reply async for reply in call(iter([symbol, absent]))]

    assert found.file_descriptor_response.file_descriptor_proto
    assert missing.error_response.error_code == CODE.NOT_FOUND.value[0]
