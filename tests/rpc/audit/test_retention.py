"""Entries of the audit log go when their tenant keeps them no more: whole sealed stretches, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from atrium.audit.v1 import audit_log_pb2, verify_pb2
from atrium.tenant.v1 import tenant_config_pb2
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.audit.tables import audit_logs
from server.db.database import Database
from server.db.partitions import ensure_months, partition_name
from server.identity.service.signing import SigningKeys
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor
from server.tenant.standing import TenantStanding
from server.work import retentions
from tests.databases import Scratch
from tests.factories.world import Person, World

_ENTRY = (
    "INSERT INTO audit_logs (tenant_id, id, created_at, actor_kind, action, resource_type) "
    "VALUES ($1, $2, $3, 'system', 'things.do', 'thing')"
)


class Past:
    """Tenants' logs of long ago, and the jobs that seal and remove."""

    def __init__(self, world: World, database: Database, scratch: Scratch, admin: Any) -> None:
        self.world = world
        self.admin = admin
        self._database = database
        self._settings = scratch.settings()
        signing = SigningKeys(database, AuditLog(database), self._settings.master_keys, self._settings.access_life)
        self._sealing = Sealing(database, signing)

    async def tenant(self, days: int, *ages: int) -> Person:
        """The administrator of a tenant that keeps its log so long, and has an entry of each age in days, sealed."""
        person = await self.world.tenant()
        request = tenant_config_pb2.UpdateTenantConfigRequest(audit_retention_days=days)
        await self.world.tenants.UpdateTenantConfig(request, metadata=person.metadata)
        for age in ages:
            await self.write(person, now() - timedelta(days=age))
            await self.seal(person)
        return person

    async def seal(self, person: Person) -> None:
        await self._sealing(UUID(person.tenant_id), now() - timedelta(minutes=10))

    async def write(self, person: Person, moment: datetime) -> None:
        await self.admin.execute(_ENTRY, UUID(person.tenant_id), uuid7_floor(moment), moment)

    async def remove(self) -> None:
        standing = TenantStanding(self._database)
        (removing,) = [each for each in retentions(self._settings, standing) if each.table is audit_logs]
        await removing(tenant.id async for tenant, _ in standing.everyone())

    async def ages(self, person: Person) -> list[int]:
        """Of the entries that are there, in days, the oldest first."""
        request = audit_log_pb2.ListAuditLogsRequest(filter={"action": "things.do"})
        found = (await self.world.audit.ListAuditLogs(request, metadata=person.metadata)).audit_logs
        return [round((now().timestamp() - entry.create_time.ToSeconds()) / 86400) for entry in reversed(found)]

    async def verify(self, person: Person, **fields: Any) -> verify_pb2.VerifyAuditLogsResponse:
        request = verify_pb2.VerifyAuditLogsRequest(**fields)
        return await self.world.audit.VerifyAuditLogs(request, metadata=person.metadata)


@pytest.fixture
async def past(world: World, database: Database, scratch: Scratch, admin: Any) -> Past:
    await ensure_months(scratch.admin_url, now().date() - timedelta(days=400), now().date())
    return Past(world, database, scratch, admin)


async def test_each_tenant_keeps_its_entries_as_long_as_it_has_set(past: Past) -> None:
    ada, grace = await past.tenant(30, 300, 100, 40, 20), await past.tenant(200, 300, 100, 40, 20)

    await past.remove()

    assert await past.ages(ada) == [20]
    assert await past.ages(grace) == [100, 40, 20]


async def test_what_is_left_is_verified_and_the_log_says_what_was_removed(past: Past) -> None:
    ada = await past.tenant(30, 300, 100, 40, 20)
    first = (await past.verify(ada, create_time_until=now() - timedelta(days=250))).last_checkpoint

    await past.remove()

    found = await past.verify(ada)
    assert (list(found.findings), found.checkpoints, found.entries) == ([], 2, 1)
    assert abs(found.removed_until.ToDatetime(now().tzinfo) - (now() - timedelta(days=40))) < timedelta(minutes=5)
    assert not (await past.verify(ada, known_checkpoint=first)).findings
    request = audit_log_pb2.ListAuditLogsRequest(filter={"action": "audit_logs.remove"})
    (entry,) = (await past.world.audit.ListAuditLogs(request, metadata=ada.metadata)).audit_logs
    assert entry.actor_kind == audit_log_pb2.AuditLog.ACTOR_KIND_SYSTEM
    assert entry.details["entries"] == 3

    await past.remove()

    assert len((await past.world.audit.ListAuditLogs(request, metadata=ada.metadata)).audit_logs) == 1


async def test_a_checkpoint_of_what_was_removed_is_known_no_more_and_not_missed(past: Past) -> None:
    ada = await past.tenant(30, 300)
    known = (await past.verify(ada)).last_checkpoint
    for age in (100, 20):
        await past.write(ada, now() - timedelta(days=age))
        await past.seal(ada)

    await past.remove()

    assert not (await past.verify(ada, known_checkpoint=known)).findings


async def test_what_is_not_sealed_stays_until_it_is(past: Past) -> None:
    ada = await past.tenant(30, 300)
    for age in (40, 20):
        await past.write(ada, now() - timedelta(days=age))

    await past.remove()
    unsealed = await past.ages(ada)
    await past.seal(ada)
    await past.remove()

    assert unsealed == [40, 20]
    assert await past.ages(ada) == [20]
    assert not (await past.verify(ada)).findings


async def test_a_month_goes_when_nothing_is_in_it_and_nobody_keeps_it(past: Past) -> None:
    ada = await past.tenant(30, 300)
    grace = await past.tenant(200, 20)
    for days in (30, 200):
        await past.admin.execute(
            "UPDATE tenant_configs SET audit_retention_days = $2 WHERE tenant_id <> ALL ($1)",
            [UUID(person.tenant_id) for person in (ada, grace)],
            days,
        )
    months = {age: partition_name("audit_logs", now().date() - timedelta(days=age)) for age in (390, 300, 100)}

    await past.write(grace, now() - timedelta(days=300))  # nothing has sealed it
    await past.remove()
    there = {age: await past.admin.fetchval("SELECT to_regclass($1)", name) for age, name in months.items()}
    await past.admin.execute(
        "DELETE FROM audit_logs WHERE action = 'things.do' AND tenant_id = $1", UUID(grace.tenant_id)
    )
    await past.remove()

    assert [age for age, found in there.items() if found] == [300, 100]
    assert [age for age, name in months.items() if await past.admin.fetchval("SELECT to_regclass($1)", name)] == [100]


async def test_a_removal_that_broke_off_is_gone_on_with(past: Past) -> None:
    ada = await past.tenant(30, 300, 20)
    await past.admin.execute(
        "UPDATE audit_checkpoints SET removed_at = now() WHERE tenant_id = $1 AND previous_hash IS NULL",
        UUID(ada.tenant_id),
    )
    half = await past.verify(ada)

    await past.remove()

    assert (list(half.findings), half.entries) == ([], 1)
    assert await past.ages(ada) == [20]


async def test_without_the_owner_all_is_kept(past: Past, database: Database, scratch: Scratch) -> None:
    ada = await past.tenant(30, 300)
    standing = TenantStanding(database)

    for removing in retentions(scratch.settings(admin_database_url=None), standing):
        await removing(tenant.id async for tenant, _ in standing.everyone())

    assert await past.ages(ada) == [300]
