"""Calls that are sent again with the same idempotency key."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import pytest
from grpc import StatusCode as Code
from grpc.aio import AioRpcError

from atrium.identity.v1 import api_key_pb2, role_pb2, user_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2
from atrium.tenant.v1 import tenant_pb2
from server.identity.store import idempotency as store
from tests.databases import Scratch
from tests.factories.world import PASSWORD, World, refused
from tests.gateways import NOT_FOR_EVER
from tests.rpc.requests import HELLO
from tests.servers import serving


def _user(name: str, key: str = "key") -> user_pb2.CreateUserRequest:
    return user_pb2.CreateUserRequest(
        username=name, email=f"{name}@example.com", password=PASSWORD, idempotency_key=key
    )


async def _count(admin: Any, username: str) -> int:
    return int(await admin.fetchval("SELECT count(*) FROM users WHERE username = $1", username))


async def test_the_same_key_and_request_get_the_first_answer(world: World, admin: Any) -> None:
    administrator = await world.tenant()

    first = await world.identity.CreateUser(_user("twin"), metadata=administrator.metadata)
    second = await world.identity.CreateUser(_user("twin"), metadata=administrator.metadata)

    assert first == second
    assert await _count(admin, "twin") == 1
    assert await admin.fetchval("SELECT count(*) FROM audit_logs WHERE new_value->>'username' = 'twin'") == 1


async def test_fifty_copies_at_once_make_one(world: World, admin: Any) -> None:
    administrator = await world.tenant()

    calls = [world.identity.CreateUser(_user("twin"), metadata=administrator.metadata) for _ in range(50)]
    replies = await asyncio.gather(*calls)

    assert len({reply.user.id for reply in replies}) == 1
    assert await _count(admin, "twin") == 1


async def test_many_with_keys_of_their_own_wait_for_nobody(world: World, admin: Any) -> None:
    """More than the pool has connections: none of them holds one while a password is hashed, or needs a second."""
    administrator, platform = await world.tenant(), await world.platform()

    def founding(number: int) -> tenant_pb2.CreateTenantRequest:
        who = tenant_pb2.CreateTenantRequest.Administrator(username="a", email="a@b.example", password=PASSWORD)
        slug = f"many-{number}"
        return tenant_pb2.CreateTenantRequest(slug=slug, name=slug, administrator=who, idempotency_key=slug)

    users = [
        world.identity.CreateUser(_user(f"many-{number}", f"key-{number}"), metadata=administrator.metadata)
        for number in range(20)
    ]
    codes = [await call.code() for call in users]
    tenants = [world.tenants.CreateTenant(founding(number), metadata=platform.metadata) for number in range(10)]
    codes += [await call.code() for call in tenants]

    assert set(codes) == {Code.OK}
    assert await admin.fetchval("SELECT count(*) FROM users WHERE username LIKE 'many-%'") == 20
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE slug LIKE 'many-%'") == 10


async def test_twins_in_two_processes_make_one(scratch: Scratch, admin: Any) -> None:
    async with AsyncExitStack() as stack:
        worlds = []
        for _ in range(2):
            app, port = await stack.enter_async_context(serving(scratch.settings()))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
            worlds.append(World(channel, await app.founding.first_platform_administrator() or ("", "")))
        administrator = await worlds[0].tenant()

        calls = [
            world.identity.CreateUser(_user("twin"), metadata=administrator.metadata)
            for _ in range(10)
            for world in worlds
        ]
        replies = await asyncio.gather(*calls)

    assert len({reply.user.id for reply in replies}) == 1
    assert await _count(admin, "twin") == 1


async def test_the_same_key_with_another_request_is_refused(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await world.identity.CreateUser(_user("first"), metadata=administrator.metadata)

    refusal = await refused(world.identity.CreateUser(_user("second"), metadata=administrator.metadata))

    assert (refusal.code, refusal.reason) == (Code.ABORTED, "IDEMPOTENCY_KEY_REUSED")
    assert await _count(admin, "second") == 0


async def test_a_key_is_its_callers_and_its_methods_own(world: World) -> None:
    administrator = await world.tenant()
    colleague = await world.user(administrator, "users:manage", "roles:manage", "users:read")
    await world.identity.CreateUser(_user("first"), metadata=administrator.metadata)

    await world.identity.CreateUser(_user("second"), metadata=colleague.metadata)
    role = role_pb2.CreateRoleRequest(name="r", code="r", idempotency_key="key")
    await world.identity.CreateRole(role, metadata=administrator.metadata)


async def test_a_failure_is_not_remembered(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    clash = _user(user.username)
    clash.email = "else@example.com"
    assert (await refused(world.identity.CreateUser(clash, metadata=administrator.metadata))).reason == "USERNAME_TAKEN"
    rename = user_pb2.UpdateUserRequest(id=user.id, username="moved-away")
    await world.identity.UpdateUser(rename, metadata=administrator.metadata)

    await world.identity.CreateUser(clash, metadata=administrator.metadata)


async def test_a_key_is_forgotten_after_a_day(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await world.identity.CreateUser(_user("first"), metadata=administrator.metadata)
    left = await admin.fetchval("SELECT extract(epoch FROM expires_at - now())::int / 60 FROM idempotency_keys")
    await admin.execute("UPDATE idempotency_keys SET expires_at = now()")

    await world.identity.CreateUser(_user("second"), metadata=administrator.metadata)

    assert left in (1439, 1440)


async def test_what_is_made_and_the_answer_to_it_are_there_together_or_not_at_all(world: World, admin: Any) -> None:
    """A crash between the two leaves neither: a table that takes no more answers stands in for it."""
    administrator = await world.tenant()
    await admin.execute("REVOKE INSERT ON idempotency_keys FROM atrium_app")

    await refused(world.identity.CreateUser(_user("lost"), metadata=administrator.metadata))
    await admin.execute("GRANT INSERT ON idempotency_keys TO atrium_app")

    assert await _count(admin, "lost") == 0
    await world.identity.CreateUser(_user("lost"), metadata=administrator.metadata)


async def test_a_secret_is_not_given_again_and_the_repeat_says_so(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:read"], idempotency_key="key")

    first = await world.identity.CreateApiKey(request, metadata=administrator.metadata)
    second = await world.identity.CreateApiKey(request, metadata=administrator.metadata)

    assert (first.secret != "", first.secret_withheld) == (True, False)
    assert (second.secret, second.secret_withheld, second.api_key) == ("", True, first.api_key)
    kept = await admin.fetchval("SELECT response FROM idempotency_keys")
    assert first.secret.rpartition("_")[2].encode() not in kept


async def test_a_tenant_is_founded_once(world: World, admin: Any) -> None:
    platform = await world.platform()
    who = tenant_pb2.CreateTenantRequest.Administrator(username="a", email="a@b.example", password=PASSWORD)
    request = tenant_pb2.CreateTenantRequest(slug="twin", name="Twin", administrator=who, idempotency_key="key")

    replies = await asyncio.gather(*(world.tenants.CreateTenant(request, metadata=platform.metadata) for _ in range(5)))

    assert len({reply.SerializeToString() for reply in replies}) == 1
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE slug = 'twin'") == 1
    assert await admin.fetchval("SELECT tenant_id::text FROM idempotency_keys") == platform.tenant_id
    await world.sign_in("twin", "a")


async def test_nothing_is_answered_of_what_was_purged(world: World, admin: Any) -> None:
    platform = await world.platform()
    made = (await world.identity.CreateUser(_user("gone"), metadata=platform.metadata)).user
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=made.id), metadata=platform.metadata)
    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=made.id), metadata=platform.metadata)
    who = tenant_pb2.CreateTenantRequest.Administrator(username="a", email="a@b.example", password=PASSWORD)
    request = tenant_pb2.CreateTenantRequest(slug="gone", name="Gone", administrator=who, idempotency_key="key")
    tenant = (await world.tenants.CreateTenant(request, metadata=platform.metadata)).tenant
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=tenant.id), metadata=platform.metadata)
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(id=tenant.id), metadata=platform.metadata)
    assert await admin.fetchval("SELECT count(*) FROM idempotency_keys") == 0

    again = (await world.identity.CreateUser(_user("gone"), metadata=platform.metadata)).user
    another = (await world.tenants.CreateTenant(request, metadata=platform.metadata)).tenant

    assert again.id != made.id
    assert another.id != tenant.id


async def test_a_call_of_a_model_is_made_and_paid_for_once(world: World) -> None:
    administrator = await world.tenant()
    chat = chat_pb2.ChatRequest(model="local-chat", messages=[HELLO], max_tokens=2, idempotency_key="key")
    embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"], idempotency_key="key")

    answers = await asyncio.gather(*(world.models.Chat(chat, metadata=administrator.metadata) for _ in range(4)))
    vectors = [await world.models.Embed(embed, metadata=administrator.metadata) for _ in range(2)]

    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert vectors[0] == vectors[1]
    logs = await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(), metadata=administrator.metadata)
    assert sorted(log.kind for log in logs.call_logs) == [1, 2]
    chat.max_tokens = 3
    refusal = await refused(world.models.Chat(chat, metadata=administrator.metadata))
    assert (refusal.code, refusal.reason) == (Code.ABORTED, "IDEMPOTENCY_KEY_REUSED")


async def test_a_call_of_a_model_that_failed_is_made_again(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    request = chat_pb2.ChatRequest(model="none", messages=[HELLO], idempotency_key="key")
    assert (await refused(world.models.Chat(request, metadata=administrator.metadata))).reason == "MODEL_NOT_FOUND"

    assert (await refused(world.models.Chat(request, metadata=administrator.metadata))).reason == "MODEL_NOT_FOUND"


async def test_a_call_that_takes_its_time_stays_the_one_that_is_waited_for(
    gateway: World, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RENEW_SECONDS", 0.01)
    ann = await gateway.tenant()
    call = gateway.models.Chat(
        chat_pb2.ChatRequest(model="stub-silent", messages=[HELLO], idempotency_key="key"), metadata=ann.metadata
    )
    waiting = asyncio.ensure_future(call)

    ends = set()
    async with asyncio.timeout(NOT_FOR_EVER):
        while len(ends) < 3:
            ends.add(await admin.fetchval("SELECT max(expires_at) FROM idempotency_keys WHERE status = 'running'"))
            ends.discard(None)

    call.cancel()
    await asyncio.wait([waiting])
    assert max(ends) - min(ends) < timedelta(seconds=40)


async def test_a_call_whose_server_died_is_made_again_when_nobody_makes_it(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    request = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"], idempotency_key="key")
    await world.models.Embed(request, metadata=administrator.metadata)
    await admin.execute("UPDATE idempotency_keys SET status = 'running', response = NULL")
    with pytest.raises(AioRpcError) as waiting:
        await world.models.Embed(request, metadata=administrator.metadata, timeout=0.5)
    await admin.execute("UPDATE idempotency_keys SET expires_at = now()")

    await world.models.Embed(request, metadata=administrator.metadata)

    assert waiting.value.code() is Code.DEADLINE_EXCEEDED
