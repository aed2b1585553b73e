"""The end of a tenant takes a while: what is asked for meanwhile, and what comes of a purge that is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import pytest

from atrium.identity.v1 import session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from server.identity.passwords import Passwords
from server.operating import rewrapped
from tests.databases import Scratch, somebody_waits
from tests.factories.api_keys import make_key, with_key
from tests.factories.world import PASSWORD, World, refused
from tests.rpc.changes.rows import rows_of


async def _until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110 - what happens in the database wakes nobody here
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _purging(
    world: World, scratch: Scratch, admin: Any, tenant_id: str, table: str = "users"
) -> AsyncIterator[Any]:
    """A purge of the tenant that has come as far as that table, and waits there until the context ends."""
    platform = await world.platform()
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=tenant_id), metadata=platform.metadata)
    async with scratch.connect() as holder, holder.transaction():
        await holder.execute(f"SELECT FROM {table} WHERE tenant_id = $1 FOR UPDATE", tenant_id)
        purge = world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(id=tenant_id), metadata=platform.metadata)
        waits = (
            "SELECT 1 FROM pg_stat_activity WHERE application_name = 'atrium purge' AND wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        await _until(lambda: admin.fetchval(waits))
        yield purge


async def test_a_tenant_whose_purge_has_begun_is_not_restored(world: World, scratch: Scratch, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    restore = tenant_pb2.RestoreTenantRequest(id=administrator.tenant_id)

    async with _purging(world, scratch, admin, administrator.tenant_id) as purge:
        refusal = await refused(world.tenants.RestoreTenant(restore, metadata=platform.metadata))
    await purge

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TENANT_PURGE_BEGUN")
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", administrator.tenant_id) == 0
    assert (
        await refused(world.tenants.RestoreTenant(restore, metadata=platform.metadata))
    ).reason == "TENANT_NOT_FOUND"


async def test_what_comes_while_a_purge_is_under_way_goes_with_it(world: World, scratch: Scratch, admin: Any) -> None:
    administrator = await world.tenant()
    login = session_pb2.LoginRequest(tenant=administrator.tenant, login="late@came.example", password="any password")

    async with _purging(world, scratch, admin, administrator.tenant_id, "tenant_configs") as purge:
        assert (await refused(world.identity.Login(login))).reason == "LOGIN_FAILED"
    await purge

    assert "late@came.example" not in str(await rows_of(admin))


async def test_who_signs_in_while_the_tenant_goes_is_refused_like_anybody(
    world: World, scratch: Scratch, admin: Any
) -> None:
    tenant_id = uuid4()
    await admin.execute(
        "INSERT INTO tenants (id, name, slug, status, deleted_at) VALUES ($1, 'Gone', 'gone', 'deleted', now())",
        tenant_id,
    )
    login = session_pb2.LoginRequest(tenant="gone", login="late@came.example", password="any password")
    async with scratch.connect() as other, other.transaction():
        await other.execute("DELETE FROM tenants WHERE id = $1", tenant_id)
        signing_in = asyncio.ensure_future(refused(world.identity.Login(login)))
        await somebody_waits(admin)

    assert (await signing_in).reason == "LOGIN_FAILED"
    assert "late@came.example" not in str(await rows_of(admin))


@pytest.mark.parametrize("how", ["session", "key", "platform"])
@pytest.mark.parametrize("idempotency_key", ["", "once"])
async def test_what_was_under_way_when_the_tenant_went_is_refused_like_what_comes_after(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str, idempotency_key: str
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    who = {
        "session": administrator.metadata,
        "key": with_key((await make_key(world, administrator, "users:manage", "users:read")).secret),
        "platform": (*platform.metadata, ("x-tenant-id", administrator.tenant_id)),
    }[how]
    hashing, gone = asyncio.Event(), asyncio.Event()
    made = Passwords.hash

    async def hashed(passwords: Passwords, password: str) -> str:
        hashing.set()
        await gone.wait()
        return await made(passwords, password)

    monkeypatch.setattr(Passwords, "hash", hashed)
    new = user_pb2.CreateUserRequest(
        username="late", email="late@came.example", password=PASSWORD, idempotency_key=idempotency_key
    )
    creating = asyncio.ensure_future(refused(world.identity.CreateUser(new, metadata=who)))
    await hashing.wait()
    by = {"id": administrator.tenant_id}
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata)
    gone.set()

    refusal = await creating

    after = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=who))
    assert (refusal.code, refusal.reason) == (after.code, after.reason)
    assert (
        refusal.reason == {"session": "SESSION_REVOKED", "key": "API_KEY_INVALID", "platform": "TENANT_NOT_FOUND"}[how]
    )


async def test_of_several_purges_at_once_one_alone_is_told(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    by = {"id": administrator.tenant_id}
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)

    calls = [
        world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata) for _ in range(4)
    ]
    codes = {await call.code() for call in calls}

    assert grpc.StatusCode.OK in codes
    assert await admin.fetchval("SELECT count(*) FROM audit_logs WHERE action = 'tenants.purge'") == 1


async def test_of_a_restore_and_a_purge_at_once_one_alone_succeeds(world: World, admin: Any) -> None:
    platform = await world.platform()
    for _ in range(5):
        by = {"id": (await world.tenant()).tenant_id}
        await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)
        calls = [
            world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata),
            world.tenants.RestoreTenant(tenant_pb2.RestoreTenantRequest(**by), metadata=platform.metadata),
        ]

        purged, restored = [await call.code() is grpc.StatusCode.OK for call in calls]

        assert purged != restored
        assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", by["id"]) == restored


async def test_an_interrupted_purge_is_not_undone_and_the_next_one_goes_on(
    world: World, scratch: Scratch, admin: Any
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    by = {"id": administrator.tenant_id}
    async with _purging(world, scratch, admin, administrator.tenant_id) as purge:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atrium purge' "
            "AND datname = current_database()"
        )
        interrupted = await purge.code()

    restore = await refused(
        world.tenants.RestoreTenant(tenant_pb2.RestoreTenantRequest(**by), metadata=platform.metadata)
    )
    rewraps = await rewrapped(scratch.settings())
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata)

    assert interrupted is grpc.StatusCode.UNAVAILABLE
    assert restore.reason == "TENANT_PURGE_BEGUN"
    assert rewraps >= 1
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", administrator.tenant_id) == 0
