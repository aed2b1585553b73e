"""What has expired or was deleted long ago is removed, in every tenant, and nothing else."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.db.removal import PURGED_AT_ONCE
from server.jobs.runs import Run
from server.kernel.errors import DatabaseUnavailable
from server.tenant.purge import TenantPurge
from server.tenant.standing import TenantStanding
from server.work import Upkeep, UpkeepIncomplete
from tests.databases import Scratch, somebody_waits
from tests.jobs.keeping import ADA, GONE, GRACE, KEPT, make_tenants, make_upkeep

RUN = Run(1, b"", 1, uuid4())


@pytest.fixture
async def upkeep(database: Database, scratch: Scratch, admin: Any) -> Upkeep:
    await make_tenants(admin)
    return make_upkeep(database, scratch.settings())


async def test_what_has_expired_goes_and_what_is_good_stays(upkeep: Upkeep, admin: Any) -> None:
    await upkeep(RUN)

    for tenant in (ADA, GRACE, KEPT):
        left = {
            table: [
                row[0]
                for row in await admin.fetch(f"SELECT {name} FROM {table} WHERE tenant_id = $1 ORDER BY 1", tenant)
            ]
            for table, name in (
                ("users", "username"),
                ("roles", "code"),
                ("sessions", "refresh_hash"),
                ("idempotency_keys", "key"),
                ("sign_in_throttle", "host(address)"),
                ("sign_in_guesses", "host(address)"),
                ("one_time_tokens", "token_hash"),
                ("user_roles", "granted_by::text"),
                ("prompt_templates", "name"),
                ("prompt_template_versions", "version"),
                ("prompt_labels", "label"),
                ("knowledge_bases", "name"),
                ("knowledge_documents", "title"),
                ("document_blobs", "hash"),
                ("document_blob_parts", "convert_from(bytes, 'UTF8')"),
                ("workflows", "name"),
                ("workflow_versions", "version"),
                ("agent_configs", "name"),
            )
        }
        assert left == {
            "users": ["fresh", "live"],
            "roles": ["live"],
            "sessions": ["good", "just expired"],
            "idempotency_keys": ["good"],
            "sign_in_throttle": ["192.0.2.1"],
            "sign_in_guesses": ["192.0.2.1"],
            "one_time_tokens": ["good"],
            "user_roles": [None],
            "prompt_templates": ["fresh", "live"],
            "prompt_template_versions": ["fresh", "live"],
            "prompt_labels": ["fresh", "live"],
            "knowledge_bases": ["archived", "fresh", "live"],
            "knowledge_documents": ["fresh", "live"],
            "document_blobs": ["fresh", "live", "under way"],
            "document_blob_parts": ["fresh", "live", "under way"],
            "workflows": ["fresh", "live"],
            "workflow_versions": ["fresh", "live"],
            "agent_configs": ["fresh", "live"],
        }, tenant


async def test_a_tenant_deleted_longer_ago_than_it_keeps_is_purged(upkeep: Upkeep, admin: Any) -> None:
    await upkeep(RUN)

    slugs = {row[0] for row in await admin.fetch("SELECT slug FROM tenants")}
    assert slugs == {"platform", "ada", "grace", "kept"}
    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", GONE) == 0


async def test_a_tenants_own_retention_counts(upkeep: Upkeep, admin: Any) -> None:
    await admin.execute("UPDATE tenant_configs SET soft_delete_retention_days = 1 WHERE tenant_id = $1", ADA)
    await admin.execute("UPDATE tenant_configs SET soft_delete_retention_days = 100 WHERE tenant_id = $1", GRACE)
    await admin.execute("UPDATE tenants SET tier = 'enterprise' WHERE id = $1", GRACE)

    await upkeep(RUN)

    counts = dict(await admin.fetch("SELECT tenant_id, count(*) FROM users GROUP BY tenant_id"))
    assert (counts[ADA], counts[GRACE]) == (1, 3)


async def test_without_the_owner_no_tenant_is_purged_and_the_rest_is_done(
    upkeep: Upkeep, database: Database, scratch: Scratch, admin: Any
) -> None:
    await make_upkeep(database, scratch.settings(admin_database_url=None))(RUN)

    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE slug = 'gone'") == 1
    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", ADA) == 2


async def test_each_purge_is_audited_as_the_systems(upkeep: Upkeep, admin: Any) -> None:
    await upkeep(RUN)

    rows = await admin.fetch(
        "SELECT action, actor_kind, old_value->>'username' AS who FROM audit_logs "
        "WHERE tenant_id = $1 AND action = 'users.purge'",
        ADA,
    )
    assert [tuple(row) for row in rows] == [("users.purge", "system", "long ago")]


async def test_many_rows_go_in_batches(upkeep: Upkeep, admin: Any) -> None:
    await admin.execute(
        "INSERT INTO idempotency_keys (tenant_id, caller, method, key, request_hash, status, expires_at) "
        "SELECT $1, $1, 'm', 'n' || n, 'h', 'done', now() FROM generate_series(1, 2500) n",
        ADA,
    )

    await upkeep(RUN)

    assert await admin.fetchval("SELECT count(*) FROM idempotency_keys WHERE tenant_id = $1", ADA) == 1


async def test_a_purge_that_was_interrupted_is_gone_on_with_and_holds_nobody_up(upkeep: Upkeep, admin: Any) -> None:
    await admin.execute("UPDATE tenants SET purge_started_at = now() WHERE id = $1", KEPT)
    await admin.execute("DELETE FROM tenant_configs WHERE tenant_id = $1", KEPT)

    await upkeep(RUN)

    slugs = {row[0] for row in await admin.fetch("SELECT slug FROM tenants")}
    assert slugs == {"platform", "ada", "grace"}
    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", ADA) == 2


async def test_a_server_that_cannot_go_on_with_a_purge_does_the_rest(
    upkeep: Upkeep, database: Database, scratch: Scratch, admin: Any
) -> None:
    await admin.execute("UPDATE tenants SET purge_started_at = now() WHERE id = $1", KEPT)
    await admin.execute("DELETE FROM tenant_configs WHERE tenant_id = $1", KEPT)

    await make_upkeep(database, scratch.settings(admin_database_url=None))(RUN)

    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", ADA) == 2
    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", KEPT) == 3


async def test_a_server_that_cannot_purge_tells_how_many_tenants_are_due(
    upkeep: Upkeep, database: Database, scratch: Scratch, admin: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await admin.execute("UPDATE tenants SET purge_started_at = now() WHERE id = $1", KEPT)

    await make_upkeep(database, scratch.settings(admin_database_url=None))(RUN)
    without = capsys.readouterr().out
    await upkeep(RUN)

    warnings = [line for line in without.splitlines() if "ATRIUM_ADMIN_DATABASE_URL" in line]
    assert len(warnings) == 1
    assert re.search(r"tenants\S*=\S*2", warnings[0])
    assert "ATRIUM_ADMIN_DATABASE_URL" not in capsys.readouterr().out
    assert await admin.fetchval("SELECT count(*) FROM tenants WHERE id IN ($1, $2)", GONE, KEPT) == 0


async def _break(admin: Any, state: str, *tenants: UUID) -> None:
    """Nothing of these tenants' sessions can be removed: it ends with that SQLSTATE."""
    listed = ", ".join(f"'{tenant}'" for tenant in tenants)
    await admin.execute(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE 'broken' USING ERRCODE = '{state}'; END $$; "
        f"CREATE TRIGGER broken BEFORE DELETE ON sessions FOR EACH ROW WHEN (OLD.tenant_id IN ({listed})) "
        "EXECUTE FUNCTION broken()"
    )


# What takes too long, or waits too long for a lock, looks like a database that does not answer.
@pytest.mark.parametrize("state", ["P0001", "57014", "55P03"], ids=["refused", "too slow", "locked"])
async def test_what_is_wrong_with_one_tenant_is_told_and_ends_nothing_for_the_others(
    upkeep: Upkeep, admin: Any, capsys: pytest.CaptureFixture[str], state: str
) -> None:
    await _break(admin, state, GRACE)

    with pytest.raises(UpkeepIncomplete, match="1 tenants"):
        await upkeep(RUN)

    counts = dict(await admin.fetch("SELECT tenant_id, count(*) FROM users GROUP BY tenant_id"))
    assert (counts[ADA], counts[GRACE], GONE in counts) == (2, 3, False)
    assert str(GRACE) in capsys.readouterr().out


async def test_where_the_database_answers_for_none_of_several_it_is_not_asked_for_all(
    upkeep: Upkeep, admin: Any
) -> None:
    await _break(admin, "57014", KEPT, GONE, GRACE)

    with pytest.raises(DatabaseUnavailable):
        await upkeep(RUN)

    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", ADA) == 3


async def test_a_tenant_that_was_restored_and_deleted_again_meanwhile_is_kept(
    upkeep: Upkeep, database: Database, scratch: Scratch, admin: Any
) -> None:
    purge = TenantPurge(database, scratch.settings().admin_database_url, AuditLog(database))
    read = [(tenant, days) async for tenant, days in TenantStanding(database).everyone() if tenant.id == GONE]
    await admin.execute("UPDATE tenants SET deleted_at = now() WHERE id = $1", GONE)

    purged = [await purge.due(tenant, days) for tenant, days in read]

    assert purged == [False]
    assert await admin.fetchval("SELECT purge_started_at FROM tenants WHERE id = $1", GONE) is None


async def test_what_another_purges_at_the_same_moment_is_left_to_them(
    upkeep: Upkeep, scratch: Scratch, admin: Any
) -> None:
    async with scratch.connect() as other, asyncio.TaskGroup() as group:
        async with other.transaction():
            await other.execute("UPDATE user_roles SET granted_by = NULL WHERE tenant_id = $1", ADA)
            for table in ("users", "roles", "prompt_templates", "knowledge_bases", "workflows", "agent_configs"):
                await other.execute(
                    f"DELETE FROM {table} WHERE tenant_id = $1 AND deleted_at < now() - interval '30 days'", ADA
                )
            run = group.create_task(upkeep(RUN))
            await somebody_waits(admin)
        await run

    assert await admin.fetchval("SELECT count(*) FROM users WHERE tenant_id = $1", ADA) == 2
    assert await admin.fetchval("SELECT count(*) FROM roles WHERE tenant_id = $1", ADA) == 1
    assert await admin.fetchval("SELECT count(*) FROM prompt_templates WHERE tenant_id = $1", ADA) == 2
    assert await admin.fetchval("SELECT count(*) FROM knowledge_bases WHERE tenant_id = $1", ADA) == 3
    assert await admin.fetchval("SELECT count(*) FROM workflows WHERE tenant_id = $1", ADA) == 2
    assert await admin.fetchval("SELECT count(*) FROM agent_configs WHERE tenant_id = $1", ADA) == 2


async def test_no_transaction_purges_more_than_a_batch_of_objects(upkeep: Upkeep, admin: Any) -> None:
    for columns, values in (
        ("users (username, email", "'u' || n, 'u' || n || '@x'"),
        ("roles (name, code", "'r' || n, 'r' || n"),
        ("prompt_templates (name, visibility", "'t' || n, 'tenant'"),
        (
            """
            knowledge_bases (name, status, former_status, default_embedding_model, embedding_dimensions, chunk_size,
                chunk_overlap
            """,
            "'b' || n, 'deleted', 'active', 'local-embedding', 256, 512, 64",
        ),
        (
            "knowledge_documents (knowledge_base_id, source_type, source_uri, file_size, file_mime_type, file_hash",
            "(SELECT id FROM knowledge_bases WHERE name = 'live' AND tenant_id = $1), 'text', '', 1, '', n::text",
        ),
        (
            "workflows (name, visibility, version, definition",
            """'w' || n, 'tenant', 'v1.0', '{"steps": [], "output": ""}'""",
        ),
        ("agent_configs (name", "'a' || n"),
    ):
        await admin.execute(
            f"INSERT INTO {columns}, tenant_id, deleted_at) "
            f"SELECT {values}, $1, now() - interval '31 days' FROM generate_series(1, 120) n",
            ADA,
        )

    await upkeep(RUN)

    batches = await admin.fetch(
        "SELECT action, count(*) FROM audit_logs WHERE tenant_id = $1 AND action LIKE '%.purge' "
        "GROUP BY action, xmin ORDER BY action, count(*) DESC",
        ADA,
    )
    each = [PURGED_AT_ONCE, PURGED_AT_ONCE, 121 - 2 * PURGED_AT_ONCE]
    assert [tuple(row) for row in batches] == [
        *(("agents.purge", count) for count in each),
        *(("documents.purge", count) for count in each),
        *[("knowledge_bases.purge", 1)] * 121,
        *((f"{kind}.purge", count) for kind in ("roles", "templates", "users", "workflows") for count in each),
    ]


async def test_prompts_and_answers_go_when_their_tenant_has_kept_them_long_enough(upkeep: Upkeep, admin: Any) -> None:
    await admin.execute("UPDATE tenant_configs SET prompt_retention_days = 3 WHERE tenant_id = $1", ADA)
    for tenant in (ADA, GRACE):
        await admin.execute(
            "INSERT INTO call_contents (tenant_id, call_log_id, messages, created_at) SELECT $1, gen_random_uuid(),"
            " jsonb_build_array(days), now() - make_interval(days => days) FROM unnest(ARRAY[2, 4, 29, 31]) AS days",
            tenant,
        )

    await upkeep(RUN)

    kept = "SELECT (messages ->> 0)::int FROM call_contents WHERE tenant_id = $1 ORDER BY 1"
    assert [row[0] for row in await admin.fetch(kept, ADA)] == [2]
    assert [row[0] for row in await admin.fetch(kept, GRACE)] == [2, 4, 29]


async def test_what_dead_processes_held_of_limits_is_given_up(upkeep: Upkeep, admin: Any) -> None:
    window = "'none', '1970-01-01Z', 'tenant', 'parallel'"
    columns = "tenant_id, window_kind, window_start, subject, kind"
    await admin.execute(f"INSERT INTO quota_ledger ({columns}, reserved) VALUES ('{ADA}', {window}, 6)")
    held = "'{none}', '{1970-01-01Z}', '{tenant}', '{parallel}'"
    await admin.execute(
        "INSERT INTO quota_holds (tenant_id, window_kinds, window_starts, subjects, kinds, amounts, expires_at) VALUES"
        f" ('{ADA}', {held}, '{{2}}', now() - interval '1 second'),"
        f" ('{ADA}', {held}, '{{1}}', now() + interval '1 hour')"
    )
    # On a server of the version before.
    await admin.execute(
        f"INSERT INTO quota_reservations ({columns}, amount, expires_at) VALUES"
        f" ('{ADA}', {window}, 2, now() - interval '1 second'), ('{ADA}', {window}, 1, now() + interval '1 hour')"
    )

    await upkeep(RUN)

    assert await admin.fetchval("SELECT reserved FROM quota_ledger") == 2
    assert [row[0] for row in await admin.fetch("SELECT amounts[1] FROM quota_holds")] == [1]
    assert [row[0] for row in await admin.fetch("SELECT amount FROM quota_reservations")] == [1]


@pytest.mark.parametrize(
    ("tier", "ended", "kept"),
    [
        ("enterprise", None, True),
        ("enterprise", "-1 day", True),
        ("enterprise", "29 days", True),
        ("enterprise", "31 days", False),
        ("pro", None, False),
    ],
)
async def test_what_a_longer_retention_kept_goes_a_month_after_it_was_paid_for_last(
    upkeep: Upkeep, admin: Any, tier: str, ended: str | None, kept: bool
) -> None:
    await admin.execute("UPDATE tenant_configs SET soft_delete_retention_days = 3650 WHERE tenant_id = $1", ADA)
    change = "UPDATE tenants SET tier = $2, subscription_ends_at = now() - $3::text::interval WHERE id = $1"
    await admin.execute(change, ADA, tier, ended)

    await upkeep(RUN)

    names = {row[0] for row in await admin.fetch("SELECT username FROM users WHERE tenant_id = $1", ADA)}
    assert ("long ago" in names) is kept
