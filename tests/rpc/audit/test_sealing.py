"""What is added to the audit log is sealed: all of it, once, and nothing that something may still come before."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from server.audit.service import sealing
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.audit.store import checkpoints
from server.db.database import Database
from server.db.partitions import ensure_months
from server.identity.service.signing import SigningKeys
from server.kernel.audit import Change
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor
from server.kernel.sealing import MasterKeys
from tests.databases import Scratch
from tests.factories.world import World
from tests.rpc.audit.sealed import FORGED, Seal, kinds, sealed, verify

OF_OLD = UUID(int=7)
_NUMBERS = count(1)


async def test_an_entry_has_the_hash_that_it_had_when_it_was_sealed(database: Database, admin: Any) -> None:
    """By whatever version: what was sealed with an earlier one is verified with this."""
    await admin.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'Of old', 'of-old')", OF_OLD)
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, id, user_id, actor_kind, action, resource_type, resource_id, old_value, "
        "new_value, details, ip_address, user_agent, request_id, session_id, trace_id, status, created_at) VALUES "
        "($1, $2, $1, 'user', 'users.update', 'user', 'é', '{\"b\": 1.50, \"aa\": null}', '[]', NULL, '2001:db8::1', "
        "'curl', 'r', 's', 't', 'success', '2026-11-27 03:04:05.678901+08')",
        *(OF_OLD, uuid7_floor(now())),
    )

    async with database.tenant_tx(OF_OLD) as tx:
        found = await checkpoints.stretch(tx, sealing.BEGINNING, UUID(int=(1 << 128) - 1), 1)

    assert found is not None
    entry = (
        f'["{OF_OLD}", "{found.from_position}", "{OF_OLD}", "user", null, "users.update", "user", "é", '
        '{"b": 1.50, "aa": null}, [], null, "2001:db8::1/128", "curl", "r", "s", "t", "success", null, '
        "1795719845.678901]"
    )
    assert found.root_hash == sha256(sha256(entry.encode()).digest()).digest()


@pytest.mark.parametrize(
    "change", ["signature = ''", "to_position = 'ffffffff-ffff-ffff-ffff-ffffffffffff'", "row_count = row_count + 1"]
)
async def test_nothing_is_sealed_behind_a_forged_checkpoint_and_the_log_says_so(
    world: World, signing: SigningKeys, database: Database, admin: Any, change: str
) -> None:
    administrator = await world.tenant()
    own = Sealing(database, signing, margin=timedelta(0))
    await sealed(own, administrator)
    await admin.execute(f"UPDATE audit_checkpoints SET {change} WHERE tenant_id = $1", UUID(administrator.tenant_id))
    await world.role(administrator)

    with capture_logs() as told:
        count = await sealed(own, administrator)

    assert count == 0
    assert [line["log_level"] for line in told] == ["error"]
    assert await kinds(world, administrator) == [FORGED]


async def test_no_stretch_is_of_two_days(world: World, seal: Seal, admin: Any, scratch: Scratch) -> None:
    administrator = await world.tenant()
    await seal(administrator)
    other = await world.tenant()
    await ensure_months(scratch.admin_url, now().date() - timedelta(days=5), now().date())
    for age in (4, 3, 3, 2):
        moment = (now() - timedelta(days=age)).replace(hour=12)
        await admin.execute(
            "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, created_at) "
            "VALUES ($1, $2, 'system', 'things.do', 'thing', $3)",
            *(UUID(other.tenant_id), UUID(int=uuid7_floor(moment).int + next(_NUMBERS)), moment),
        )

    await seal(other)

    rows = await admin.fetch(
        "SELECT row_count FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY from_position", UUID(other.tenant_id)
    )
    assert [row["row_count"] for row in rows][:3] == [1, 2, 1]
    assert await kinds(world, other) == []


@pytest.mark.parametrize(("most", "size"), [("MOST_ENTRIES", 10), ("MOST_BYTES", 10_000)])
async def test_a_long_log_is_sealed_in_stretches(
    world: World, seal: Seal, admin: Any, monkeypatch: pytest.MonkeyPatch, most: str, size: int
) -> None:
    monkeypatch.setattr(sealing, most, size)
    administrator = await world.tenant()
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, actor_kind, action, resource_type, details) "
        "SELECT $1, 'system', 'things.do', 'thing', jsonb_build_array(repeat('x', 1000)) FROM generate_series(1, 95)",
        UUID(administrator.tenant_id),
    )

    count = await seal(administrator)
    found = await verify(world, administrator)

    assert (list(found.findings), found.entries) == ([], count)
    assert found.checkpoints in range(9, 12)


async def test_nothing_is_sealed_that_a_transaction_under_way_may_come_before(
    world: World, seal: Seal, database: Database, signing: SigningKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    administrator = await world.tenant()
    async with database.tenant_tx(UUID(administrator.tenant_id)) as tx:
        await AuditLog(database).record(tx, Change("things.do", "thing"))
        await world.role(administrator)
        with monkeypatch.context() as impatient:
            impatient.setattr(sealing, "_PATIENCE_SECONDS", 0.2)
            meanwhile = await Sealing(database, signing, margin=timedelta(0)).horizon()

    assert meanwhile is None
    assert await seal(administrator) > 0
    assert await kinds(world, administrator) == []


async def test_what_is_of_the_last_minutes_is_not_sealed_yet(
    world: World, database: Database, signing: SigningKeys
) -> None:
    administrator = await world.tenant()

    assert await sealed(Sealing(database, signing), administrator) == 0


async def test_of_two_workers_that_seal_at_once_one_does(world: World, seal: Seal) -> None:
    administrator = await world.tenant()
    await world.role(administrator)

    counts = await asyncio.gather(*(seal(administrator) for _ in range(4)))
    found = await verify(world, administrator)

    assert found.entries == sum(counts) > 0
    assert not found.findings


async def test_what_a_key_has_sealed_is_verified_when_it_signs_no_more(
    world: World, seal: Seal, admin: Any, signing: SigningKeys, scratch: Scratch, database: Database
) -> None:
    administrator = await world.tenant()
    await world.role(administrator)
    await seal(administrator)
    await signing.rotate(compromised=True)
    await admin.execute("UPDATE signing_keys SET retires_at = now() - interval '1 year' WHERE retires_at IS NOT NULL")
    found = await verify(world, await world.sign_in(administrator.tenant, administrator.username))
    settings = scratch.settings()
    current = next(iter(settings.master_keys._all))
    renewed = SigningKeys(database, AuditLog(database), MasterKeys(b"n" * 32, [current]), settings.access_life)
    count = await renewed.rewrap()

    verifiers = await SigningKeys(database, AuditLog(database), MasterKeys(b"n" * 32), settings.access_life).verifiers(
        [row["kid"] for row in await admin.fetch("SELECT kid FROM signing_keys")]
    )

    assert (list(found.findings), found.checkpoints) == ([], 1)
    assert count == len(verifiers) == 2
