"""What the database itself keeps: times, revisions, names, states, ids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import schema_doc
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql

from server.db.revision import SCHEMA_REVISION
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7
from tests.databases import Scratch
from tests.migration.rows import TENANT, fill_over

STAMPED = [table for tables in schema_doc.slices().values() for table in tables if "updated_at" in table.c]
ADA = "INSERT INTO users (tenant_id, username, email) VALUES ($1, $2, $3)"


@pytest.fixture
async def filled(passing: Any) -> Any:
    """A connection to a database with a row of one tenant in every table."""
    await passing.execute("DELETE FROM model_prices; DELETE FROM models; DELETE FROM permissions")
    await fill_over(passing, SCHEMA_REVISION)
    return passing


@asynccontextmanager
async def _refused(connection: Any, reason: type[Exception], name: str | None = None) -> AsyncIterator[None]:
    """What is inside fails with the reason, and the transaction around it goes on."""
    with pytest.raises(reason, match=name):
        async with connection.transaction():
            yield


@pytest.mark.parametrize("table", STAMPED, ids=lambda table: table.name)
async def test_updated_at_follows_every_change(table: Table, filled: Any) -> None:
    await filled.execute(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
    await filled.execute(f"UPDATE {table.name} SET updated_at = '2020-01-01', created_at = '2020-01-01'")
    await filled.execute(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")

    await filled.execute(f"UPDATE {table.name} SET created_at = created_at")

    assert await filled.fetchval(f"SELECT min(updated_at) FROM {table.name}") >= datetime(2021, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("table", [table for table in STAMPED if table.info["revised"]], ids=lambda table: table.name)
async def test_a_revision_is_raised_by_a_change_of_each_column_named_and_by_no_other_update(
    table: Table, filled: Any
) -> None:
    checks = await filled.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('c', 'f')", table.name
    )
    for check in checks:  # which a made up value would violate
        await filled.execute(f"ALTER TABLE {table.name} DROP CONSTRAINT {check['conname']}")
    column = "tenant_id" if "tenant_id" in table.c else "id"
    this = f"{column} = (SELECT {column} FROM {table.name} WHERE {column} <> '{PLATFORM_TENANT_ID}')"

    raised = {}
    for column in table.info["revised"]:
        before = await filled.fetchval(f"SELECT revision FROM {table.name} WHERE {this}")
        await filled.execute(f'UPDATE {table.name} SET "{column}" = {_other(table.c[column])} WHERE {this}')
        await filled.execute(f'UPDATE {table.name} SET "{column}" = "{column}" WHERE {this}')
        raised[column] = await filled.fetchval(f"SELECT revision FROM {table.name} WHERE {this}") - before

    assert raised == dict.fromkeys(table.info["revised"], 1)


def _other(column: Column[Any]) -> str:
    """Another value of the column's type than the row has."""
    match column.type.compile(dialect=postgresql.dialect()).split("(")[0]:
        case "VARCHAR" | "TEXT":
            return "'other'"
        case "BOOLEAN":
            return f'NOT "{column.name}"'
        case "INTEGER" | "BIGINT":
            return "77"
        case "NUMERIC" | "DOUBLE PRECISION":
            return "0.77"
        case "JSONB":
            return "'{\"other\": 1}'"
        case "UUID":
            return f"'{uuid7()}'"
        case "UUID[]":
            return f"ARRAY['{uuid7()}'::uuid]"
        case "BYTEA":
            return r"'\x77'"
        case _:
            return "'2031-01-01'"


async def _values(connection: Any, query: str) -> list[Any]:
    return [row[0] for row in await connection.fetch(query)]


async def test_a_sign_in_and_a_count_raise_no_revision(filled: Any) -> None:
    await filled.execute(
        "UPDATE users SET last_login_at = now(), login_attempts = 3, password_hash = 'hash', token_epoch = 1"
    )

    assert await _values(filled, "SELECT revision FROM users") == [1]


async def test_a_revision_can_be_raised_for_what_lies_in_other_tables(filled: Any) -> None:
    await filled.execute("UPDATE roles SET revision = revision + 1 WHERE code = 'writer'")

    assert await _values(filled, "SELECT revision FROM roles WHERE code = 'writer'") == [2]


@pytest.mark.parametrize(("username", "email"), [("ADA", "other@example.com"), ("other", "Ada@Example.com")])
async def test_a_name_is_taken_in_whatever_case_and_free_again_when_its_holder_is_deleted(
    username: str, email: str, filled: Any
) -> None:
    async with _refused(filled, asyncpg.UniqueViolationError):
        await filled.execute(ADA, TENANT, username, email)

    await filled.execute("UPDATE users SET deleted_at = now()")
    await filled.execute(ADA, TENANT, username, email)

    async with _refused(filled, asyncpg.UniqueViolationError):
        await filled.execute("UPDATE users SET deleted_at = NULL")


async def test_a_base_is_counted_without_a_revision_and_a_change_that_is_told_of_raises_it(filled: Any) -> None:
    this = "UPDATE knowledge_bases SET {} WHERE name = 'Papers'"
    await filled.execute(this.format("document_count = 1, chunk_count = 2, total_size = 3, active_generation = 2"))
    counted = await _values(filled, "SELECT revision FROM knowledge_bases")
    await filled.execute(this.format("status = 'archived'"))

    assert (counted, await _values(filled, "SELECT revision FROM knowledge_bases")) == ([1], [2])


async def test_a_bases_name_is_taken_among_the_shared_ones_and_among_those_of_its_owner(filled: Any) -> None:
    add = (
        "INSERT INTO knowledge_bases (tenant_id, name, visibility_scope, owner_user_id, "
        "default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap) "
        "VALUES ($1, 'Papers', $2, (SELECT id FROM users WHERE tenant_id = $1), 'm', 8, 512, 64)"
    )
    await filled.execute(add, TENANT, "personal")

    for visibility, name in (("tenant", "uq_knowledge_bases_name"), ("personal", "uq_knowledge_bases_own_name")):
        async with _refused(filled, asyncpg.UniqueViolationError, name):
            await filled.execute(add, TENANT, visibility)
    await filled.execute("UPDATE knowledge_bases SET deleted_at = now(), status = 'deleted'")
    await filled.execute(add, TENANT, "tenant")
    await filled.execute(add, TENANT, "personal")


async def test_a_workflow_is_counted_without_a_revision_and_a_change_that_is_told_of_raises_it(filled: Any) -> None:
    await filled.execute("UPDATE workflows SET execution_count = 1, success_count = 2, failure_count = 3")
    counted = await filled.fetchrow("SELECT revision, updated_at = created_at FROM workflows")
    await filled.execute("UPDATE workflows SET visibility = 'tenant'")

    assert (tuple(counted), await _values(filled, "SELECT revision FROM workflows")) == ((1, True), [2])


async def test_a_workflows_name_is_taken_among_the_shared_ones_and_among_those_of_its_owner(filled: Any) -> None:
    add = (
        "INSERT INTO workflows (tenant_id, name, visibility, definition, version, owner_user_id) "
        "VALUES ($1, 'Report', $2, '{}', 'v1.0', (SELECT id FROM users WHERE tenant_id = $1))"
    )
    await filled.execute(add, TENANT, "tenant")

    for visibility, name in (("tenant", "uq_workflows_name"), ("personal", "uq_workflows_own_name")):
        async with _refused(filled, asyncpg.UniqueViolationError, name):
            await filled.execute(add, TENANT, visibility)
    await filled.execute("UPDATE workflows SET deleted_at = now()")
    await filled.execute(add, TENANT, "tenant")
    await filled.execute(add, TENANT, "personal")


async def test_what_goes_with_a_workflow_and_what_does_not(filled: Any) -> None:
    await filled.execute("DELETE FROM workflows")

    assert await _values(filled, "SELECT count(*) FROM workflow_versions") == [0]
    for table in ("workflow_executions", "workflow_tasks", "execution_events"):
        assert await _values(filled, f"SELECT count(*) FROM {table}") == [1], table


async def test_what_was_done_and_what_happened_goes_with_its_execution(filled: Any) -> None:
    await filled.execute("DELETE FROM workflow_executions")

    for table in ("workflow_tasks", "execution_events"):
        assert await _values(filled, f"SELECT count(*) FROM {table}") == [0], table


async def test_another_tenant_may_have_the_same_name(filled: Any) -> None:
    other = uuid7()
    await filled.execute("INSERT INTO tenants (id, name, slug) VALUES ($1, 'Grace', 'grace')", other)

    await filled.execute(ADA, other, "Ada", "ada@example.com")

    assert await filled.fetchval("SELECT count(*) FROM users WHERE username_key = 'ada'") == 2


async def test_a_deleted_tenants_slug_stays_reserved(filled: Any) -> None:
    await filled.execute("UPDATE tenants SET status = 'deleted', deleted_at = now() WHERE slug = 'ada'")

    async with _refused(filled, asyncpg.UniqueViolationError, "uq_tenants_slug"):
        await filled.execute("INSERT INTO tenants (name, slug) VALUES ('Another', 'ada')")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE tenants SET status = 'deleted'",
        "UPDATE tenants SET deleted_at = now()",
        "UPDATE tenants SET slug = 'Not A Label'",
        "UPDATE tenants SET slug = '-ada'",
        "UPDATE tenants SET tier = 'gold'",
        "UPDATE tenants SET max_users = -1",
        "UPDATE tenant_configs SET temperature = 2.01",
        "UPDATE users SET status = 'asleep'",
        "UPDATE models SET provider = 'unknown'",
        "UPDATE model_prices SET input_cost_per_1k = -1",
        "UPDATE role_permissions SET effect = 'perhaps'",
        "UPDATE quota_ledger SET reserved = -1",
        "UPDATE model_call_logs SET total_cost = -0.000000001",
        "UPDATE prompt_templates SET visibility = 'public'",
        "UPDATE knowledge_bases SET visibility_scope = 'public'",
        "UPDATE knowledge_bases SET visibility_scope = 'personal'",
        "UPDATE knowledge_bases SET visibility_scope = 'secret'",
        "UPDATE knowledge_bases SET status = 'asleep'",
        "UPDATE knowledge_bases SET status = 'deleted'",
        "UPDATE knowledge_bases SET deleted_at = now()",
        "UPDATE knowledge_bases SET former_status = 'deleted'",
        "UPDATE knowledge_bases SET embedding_dimensions = 0",
        "UPDATE knowledge_bases SET chunk_size = 0",
        "UPDATE knowledge_bases SET chunk_overlap = -1",
        "UPDATE knowledge_bases SET chunk_overlap = chunk_size",
        "UPDATE knowledge_bases SET search_top_k = 0",
        "UPDATE knowledge_bases SET search_threshold = 1.01",
        "UPDATE knowledge_bases SET search_threshold = -0.01",
        "UPDATE knowledge_bases SET active_generation = 0",
        "UPDATE knowledge_bases SET document_count = -1",
        "UPDATE knowledge_bases SET chunk_count = -1",
        "UPDATE knowledge_bases SET total_size = -1",
        "UPDATE workflows SET visibility = 'public'",
        "UPDATE workflows SET visibility = 'secret'",
        "UPDATE workflows SET owner_user_id = NULL",
        "UPDATE workflows SET execution_count = -1",
        "UPDATE workflows SET success_count = -1",
        "UPDATE workflows SET failure_count = -1",
        "UPDATE agent_configs SET prompt_template_id = NULL",
        "UPDATE agent_configs SET temperature = 2.1",
        "UPDATE agent_configs SET temperature = 'NaN'",
        "UPDATE agent_configs SET max_tokens = 0",
        "UPDATE agent_configs SET max_turns = 0",
        "UPDATE agent_configs SET max_turns = 33",
        "UPDATE workflow_executions SET status = 'asleep'",
        "UPDATE workflow_executions SET status = 'completed'",
        "UPDATE workflow_executions SET completed_at = now()",
        "UPDATE workflow_executions SET priority = 101",
        "UPDATE workflow_tasks SET status = 'asleep'",
        "UPDATE workflow_tasks SET iteration = -1",
        "UPDATE workflow_tasks SET waiting_on = -1",
        "UPDATE workflow_tasks SET retry_count = -1",
        "UPDATE workflow_tasks SET attempt = -1",
        "UPDATE execution_events SET seq = 0",
    ],
)
async def test_the_database_refuses(change: str, filled: Any) -> None:
    async with _refused(filled, asyncpg.CheckViolationError):
        await filled.execute(change)


async def test_what_goes_with_a_user_and_what_does_not(filled: Any) -> None:
    # Their templates and workflows are seen to by the purge: some go with them, some stay.
    await filled.execute("DELETE FROM prompt_templates; DELETE FROM workflows")

    await filled.execute("DELETE FROM users WHERE tenant_id = $1", TENANT)

    for table in ("sessions", "api_keys", "one_time_tokens", "user_roles"):
        assert await filled.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    assert await filled.fetchval("SELECT count(*) FROM audit_logs") == 1


async def test_a_label_goes_with_its_version_and_is_never_put_on_one_that_is_not_there(filled: Any) -> None:
    async with _refused(filled, asyncpg.ForeignKeyViolationError, "fk_prompt_labels_tenant_id_version_id"):
        await filled.execute("UPDATE prompt_labels SET version_id = atrium_uuid7()")

    await filled.execute("DELETE FROM prompt_template_versions")

    assert await filled.fetchval("SELECT count(*) FROM prompt_labels") == 0


async def test_a_model_with_a_price_cannot_be_deleted(filled: Any) -> None:
    async with _refused(filled, asyncpg.IntegrityConstraintViolationError, "fk_model_prices_model_id"):
        await filled.execute("DELETE FROM models")


async def test_a_tenant_cannot_be_deleted_from_under_its_records(filled: Any) -> None:
    async with _refused(filled, asyncpg.ForeignKeyViolationError):
        await filled.execute("DELETE FROM tenants WHERE id = $1", TENANT)


async def test_an_id_by_default_is_a_version_7_uuid_of_the_moment(each_shared: Scratch) -> None:
    async with each_shared.connect() as admin:
        before = now()
        ids = [UUID(int=row[0].int) for row in await admin.fetch("SELECT atrium_uuid7() FROM generate_series(1, 2000)")]
        after = now()

    assert {(identifier.version, identifier.variant) for identifier in ids} == {(7, "specified in RFC 4122")}
    assert len(set(ids)) == len(ids)
    moments = [(identifier.int >> 80) / 1000 for identifier in ids]
    assert int(before.timestamp() * 1000) / 1000 <= min(moments) <= max(moments) <= after.timestamp()
    assert moments == sorted(moments)
