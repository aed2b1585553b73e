"""Records of calls go when nobody keeps them any more: whole months, and before that one tenant's by themselves."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from server.db.database import Database
from server.db.partitions import ensure_months, month_after, partition_name
from server.db.retention import Retention
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7_floor
from server.model.store import logs
from server.model.tables import model_call_logs
from server.tenant.standing import TenantStanding
from tests.databases import Scratch

ADA, GRACE = (UUID(int=number) for number in (1, 2))
_DAYS = {ADA: 30, GRACE: 100, PLATFORM_TENANT_ID: 200}
_AGES = (10, 50, 150, 300)

_CALL = """
INSERT INTO model_call_logs (tenant_id, id, model_id, request_kind, status, created_at)
SELECT $1, $2, id, 'chat', 'success', $3 FROM models ORDER BY id LIMIT 1
"""
_SUM = "INSERT INTO usage_rollups (tenant_id, day, model_id, calls) SELECT $1, '2020-01-01', id, 7 FROM models LIMIT 1"


@pytest.fixture
async def retention(database: Database, scratch: Scratch, admin: Any) -> Retention:
    today = now().date()
    await ensure_months(scratch.admin_url, today - timedelta(days=max(_AGES)), today)
    await admin.execute(
        "INSERT INTO tenants (id, name, slug) VALUES ($1, 'Ada', 'ada'), ($2, 'Grace', 'grace')", ADA, GRACE
    )
    for tenant, days in _DAYS.items():
        await admin.execute(
            "INSERT INTO tenant_configs (tenant_id, call_log_retention_days) VALUES ($1, $2) "
            "ON CONFLICT (tenant_id) DO UPDATE SET call_log_retention_days = $2",
            tenant,
            days,
        )
        for age in _AGES:
            moment = now() - timedelta(days=age)
            await admin.execute(_CALL, tenant, uuid7_floor(moment), moment)
        await admin.execute(_SUM, tenant)
    return _calls(database, scratch.admin_url)


def _calls(database: Database, owner_url: str | None) -> Retention:
    async def days(tenant_id: UUID) -> int:
        return (await TenantStanding(database).model_settings(tenant_id)).call_log_retention_days

    return Retention(model_call_logs, owner_url, days, logs.expire, whole_months=True)


async def _run(retention: Retention, database: Database) -> None:
    await retention(tenant.id async for tenant, _ in TenantStanding(database).everyone())


async def _left(admin: Any, tenant: UUID) -> list[int]:
    """The ages of the tenant's records, in days."""
    rows = await admin.fetch(
        "SELECT round(extract(epoch FROM now() - created_at) / 86400)::int FROM model_call_logs "
        "WHERE tenant_id = $1 ORDER BY 1",
        tenant,
    )
    return [row[0] for row in rows]


async def test_each_tenant_keeps_its_records_as_long_as_it_has_set(
    retention: Retention, database: Database, admin: Any
) -> None:
    await _run(retention, database)

    assert {tenant: await _left(admin, tenant) for tenant in _DAYS} == {
        ADA: [10],
        GRACE: [10, 50],
        PLATFORM_TENANT_ID: [10, 50, 150],
    }


async def test_a_month_that_nobody_keeps_goes_as_a_whole_and_one_that_somebody_does_stays(
    retention: Retention, database: Database, admin: Any
) -> None:
    today = now().date()
    oldest = partition_name("model_call_logs", today - timedelta(days=300))
    running_out = partition_name("model_call_logs", today - timedelta(days=200))  # a part of it is kept yet
    await admin.execute(f"DELETE FROM {oldest}")

    await _run(retention, database)

    assert await admin.fetchval("SELECT to_regclass($1)", oldest) is None
    assert await admin.fetchval("SELECT to_regclass($1)::text", running_out) == running_out
    assert await admin.fetchval(
        "SELECT to_regclass($1)::text", partition_name("model_call_logs", month_after(today, 3))
    )
    assert await admin.fetchval(
        "SELECT to_regclass($1)::text", partition_name("audit_logs", today - timedelta(days=300))
    ), "the audit log is left alone"


async def test_who_keeps_them_longest_loses_them_to_the_day_too(
    retention: Retention, database: Database, admin: Any
) -> None:
    moment = now() - timedelta(days=max(_DAYS.values()) + 1)
    await admin.execute(_CALL, PLATFORM_TENANT_ID, uuid7_floor(moment), moment)

    await _run(retention, database)

    assert await _left(admin, PLATFORM_TENANT_ID) == [10, 50, 150]


async def test_a_month_that_somebody_holds_and_a_half_purged_tenant_keep_nothing_of_the_others(
    retention: Retention, database: Database, scratch: Scratch, admin: Any
) -> None:
    oldest = partition_name("model_call_logs", now().date() - timedelta(days=300))
    await admin.execute("DELETE FROM tenant_configs WHERE tenant_id = $1", GRACE)
    async with scratch.connect() as holder, holder.transaction():
        await holder.execute(f"LOCK TABLE {oldest} IN ACCESS SHARE MODE")
        await _run(retention, database)

    assert await admin.fetchval("SELECT to_regclass($1)::text", oldest) == oldest
    assert await _left(admin, ADA) == [10]


async def test_the_sums_of_what_was_used_stay(retention: Retention, database: Database, admin: Any) -> None:
    await _run(retention, database)

    assert await admin.fetchval("SELECT sum(calls) FROM usage_rollups") == 7 * len(_DAYS)


async def test_more_rows_than_a_batch_go_in_one_run(retention: Retention, database: Database, admin: Any) -> None:
    moment = now() - timedelta(days=40)
    await admin.execute(
        "INSERT INTO model_call_logs (tenant_id, id, model_id, request_kind, status, created_at) "
        "SELECT $1, ($2 || lpad(n::text, 12, '0'))::uuid, (SELECT id FROM models LIMIT 1), 'chat', 'success', $3 "
        "FROM generate_series(1, 2500) n",
        ADA,
        str(uuid7_floor(moment))[:24],
        moment,
    )

    await _run(retention, database)

    assert await _left(admin, ADA) == [10]


async def test_without_the_owner_everything_stays_and_the_log_says_so(
    retention: Retention, database: Database, admin: Any
) -> None:
    with capture_logs() as told:
        await _run(_calls(database, None), database)

    assert [entry["log_level"] for entry in told] == ["warning"]
    assert await _left(admin, ADA) == list(_AGES)
