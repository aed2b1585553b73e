"""The end of a tenant takes a while: what is asked for meanwhile, and what comes of a purge that is interrupted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest

from atrium.identity.v1 import session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from server.audit.domain import Checkpoint, Seal
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.audit.store import checkpoints
from server.db.database import Database
from server.identity.passwords import Passwords
from server.identity.service.signing import SigningKeys
from server.operating import rewrapped
from tests.databases import Scratch, somebody_waits
from tests.factories.api_keys import make_key, with_key
from tests.factories.world import PASSWORD, World, refused
from tests.rpc.audit.sealed import sealed
from tests.rpc.changes.rows import rows_of

END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atrium purge' "
    "AND datname = current_database()"
)


async def _until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(10):
        while not await true():  # noqa: ASYNC110 - what happens in the database wakes nobody here
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _purging(
    world: World, scratch: Scratch, admin: Any, tenant_id: str, table: str = "users", of: str | None = None
) -> AsyncIterator[Any]:
    """A purge of the tenant that has come as far as that table, and waits there until the context ends. `of`: whose
    rows it waits for; None: its own.
    """
    platform = await world.platform()
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=tenant_id), metadata=platform.metadata)
    async with scratch.connect() as holder, holder.transaction():
        await holder.execute(f"SELECT FROM {table} WHERE tenant_id = $1 FOR UPDATE", of or tenant_id)
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


async def test_a_purge_that_is_interrupted_at_its_very_end_leaves_nothing_and_is_told_once(
    world: World, scratch: Scratch, admin: Any
) -> None:
    platform = await world.platform()
    who = tenant_pb2.CreateTenantRequest.Administrator(username="a", email="a@one.example", password=PASSWORD)
    create = tenant_pb2.CreateTenantRequest(slug="one", name="One", administrator=who, idempotency_key="once")
    by = {"id": (await world.tenants.CreateTenant(create, metadata=platform.metadata)).tenant.id}
    told = "SELECT count(*) FROM audit_logs WHERE action = 'tenants.purge'"
    answers = "SELECT count(*) FROM idempotency_keys WHERE response IS NOT NULL"
    # What the platform's people were answered of it is the last that a purge removes.
    async with _purging(world, scratch, admin, by["id"], "idempotency_keys", of=platform.tenant_id) as purge:
        await admin.execute(END)
        interrupted = await purge.code()
    before = await admin.fetchval(told), await admin.fetchval(answers)

    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata)

    assert interrupted is grpc.StatusCode.UNAVAILABLE
    assert before == (0, 1)
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", by["id"]) == 0
    assert (await admin.fetchval(told), await admin.fetchval(answers)) == (1, 0)


async def test_what_is_told_of_a_purge_has_the_last_checkpoint_of_the_tenants_log_also_after_an_interruption(
    world: World, scratch: Scratch, database: Database, admin: Any
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    settings = scratch.settings()
    signing = SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)
    await sealed(Sealing(database, signing, margin=timedelta(0)), administrator)
    await world.role(administrator, "users:read")
    await sealed(Sealing(database, signing, margin=timedelta(0)), administrator)
    async with database.tenant_tx(UUID(administrator.tenant_id)) as tx:
        last = await checkpoints.last(tx)
    assert last is not None
    async with _purging(world, scratch, admin, administrator.tenant_id, "tenant_configs") as purge:
        await admin.execute(END)
        await purge.code()

    by = tenant_pb2.PurgeTenantRequest(id=administrator.tenant_id)
    await world.tenants.PurgeTenant(by, metadata=platform.metadata)

    entries = await admin.fetch(
        "SELECT details FROM audit_logs WHERE action IN ('tenants.purge', 'tenants.purge_begin') ORDER BY id"
    )
    told = [json.loads(entry["details"]) for entry in entries]
    assert ["rows" in one for one in told] == [False, False, True]
    for one in (each["last_checkpoint"] for each in told):
        seal = Seal(
            *(UUID(one[name]) for name in ("tenant_id", "id", "from_position", "to_position")),
            one["row_count"],
            *(bytes.fromhex(one[name]) for name in ("root_hash", "previous_hash")),
        )
        assert seal == last.seal
        signed = Checkpoint(seal, one["signing_kid"], bytes.fromhex(one["signature"]), None)
        assert signed.signed_by(await signing.verifiers({signed.signing_kid})), "and it is ours"


async def test_an_interrupted_purge_is_not_undone_and_the_next_one_goes_on(
    world: World, scratch: Scratch, admin: Any
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    by = {"id": administrator.tenant_id}
    async with _purging(world, scratch, admin, administrator.tenant_id) as purge:
        await admin.execute(END)
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
