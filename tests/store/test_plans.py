"""Every index serves the query that it is there for: EXPLAIN says so, under row security, on tables of some size."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import schema_doc

from server.audit.store import entries
from server.db.partitions import bounds, partition_name
from server.db.statements import Statement
from server.identity.store import api_keys, expiry, one_time_tokens, roles, sessions, users
from server.jobs import backlog
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID
from server.knowledge.store import bases, blobs, documents, queries
from server.knowledge.store import generations as rebuilt
from server.model.store import caches, contents, generations, ledger, logs
from server.prompt.store import templates, versions
from server.workflow.store import agents, executions, workflows
from tests.databases import Cluster, Scratch
from tests.store.test_search_plans import SEARCHED

TENANT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
_LAST = UUID(int=(1 << 128) - 1)
_PAGE: dict[str, Any] = {"before": _LAST, "most": 51}

_ROWS = Path(__file__).with_name("busy.sql")


def _store(statement: Statement, **values: Any) -> tuple[str, list[Any]]:
    return statement.sql, statement.arguments(values)


_SOME_USER = "(SELECT user_id FROM user_roles ORDER BY user_id LIMIT 1)"

# As the role that serves, in the tenant's context: each index, and a query that it serves.
SERVING: dict[str, tuple[str, list[Any]]] = {
    "ix_users_live": _store(users._list(()), **_PAGE),
    "ix_users_status": _store(users._list(("status",)), status="locked", **_PAGE),
    "ix_users_email_verified": _store(users._list(("email_verified",)), email_verified=False, **_PAGE),
    "ix_users_last_login_at": _store(users._list(("last_login_time_from",)), last_login_time_from=now(), **_PAGE),
    "ix_users_deleted": _store(expiry._USERS, days=83),
    "ix_sign_in_throttle_updated_at": _store(expiry.EXPIRED["sign_in_throttle"]),
    "ix_sign_in_guesses_updated_at": _store(expiry.EXPIRED["sign_in_guesses"]),
    "uq_users_username_key": ("SELECT id FROM users WHERE username_key = 'u7' AND deleted_at IS NULL", []),
    "uq_users_likeness": ("SELECT id FROM users WHERE likeness = 'u7' AND deleted_at IS NULL", []),
    "uq_users_email_key": ("SELECT id FROM users WHERE email_key = 'u7@example.com' AND deleted_at IS NULL", []),
    "ix_roles_live": _store(roles._list(), **_PAGE),
    "ix_roles_deleted": _store(expiry._ROLES, days=83),
    "uq_roles_code": _store(roles._BY_CODE, code="r7"),
    "ix_user_roles_role_id": ("SELECT user_id FROM user_roles WHERE role_id = $1", [TENANT]),
    "ix_user_roles_granted_by": ("SELECT user_id FROM user_roles WHERE granted_by = $1", [TENANT]),
    "ix_sessions_user_id": _store(sessions._LIST, user_id=TENANT, **_PAGE),
    "ix_sessions_over": _store(expiry.EXPIRED["sessions"]),
    "ix_api_keys_user_id": _store(api_keys._LIST, user_id=TENANT, **_PAGE),
    "ix_one_time_tokens_user_id": _store(
        one_time_tokens._COUNT, user_id=TENANT, purpose="reset_password", window=timedelta(hours=1)
    ),
    "ix_one_time_tokens_over": _store(expiry.EXPIRED["one_time_tokens"]),
    "ix_idempotency_keys_expires_at": _store(expiry.EXPIRED["idempotency_keys"]),
    "ix_model_call_logs_user_id": _store(logs._list_logs(("user_id",)), user_id=TENANT, **_PAGE),
    "ix_model_call_logs_model_id": _store(logs._list_logs(("model_id",)), model_id=TENANT, **_PAGE),
    "ix_model_call_logs_trace_id": _store(logs._list_logs(("trace_id",)), trace_id="trace-7", **_PAGE),
    "ix_model_call_logs_workflow_execution_id": _store(
        logs._list_logs(("workflow_execution_id",)), workflow_execution_id=TENANT, **_PAGE
    ),
    "ix_audit_logs_user_id": _store(entries._list(("user_id",)), user_id=TENANT, **_PAGE),
    "ix_audit_logs_resource": _store(
        entries._list(("resource_id", "resource_type")), resource_type="thing", resource_id="r7", **_PAGE
    ),
    "ix_audit_logs_status": _store(entries._list(("status",)), status="failure", **_PAGE),
    "ix_audit_logs_action": _store(entries._list(("action",)), action="things.7", **_PAGE),
    "ix_audit_logs_request_id": _store(entries._list(("request_id",)), request_id="request-7", **_PAGE),
    "ix_audit_logs_session_id": _store(entries._list(("session_id",)), session_id="session-7", **_PAGE),
    "ix_quota_holds_expires_at": _store(ledger._QUERIES["expired"]),
    "ix_quota_reservations_expires_at": _store(ledger._QUERIES["expired"]),
    "ix_model_limits_api_key_id": ("SELECT id FROM model_limits WHERE api_key_id = $1", [TENANT]),
    "ix_call_contents_created_at": _store(contents.EXPIRED, days=100),
    "ix_response_cache_expires_at": _store(caches.EXPIRED[0]),
    "ix_embedding_cache_expires_at": _store(caches.EXPIRED[1]),
    "uq_prompt_templates_name": (
        "SELECT id FROM prompt_templates WHERE deleted_at IS NULL AND visibility <> 'personal' AND name = 'p8'",
        [],
    ),
    "uq_prompt_templates_own_name": (
        f"""
        SELECT id FROM prompt_templates
        WHERE deleted_at IS NULL AND visibility = 'personal' AND owner_user_id = {_SOME_USER} AND name = 'p7'
        """,
        [],
    ),
    "ix_prompt_templates_live": _store(templates._list(()), member_id=TENANT, **_PAGE),
    "ix_prompt_templates_deleted": _store(templates._LONG_DELETED, days=100),
    "ix_prompt_templates_owner_user_id": _store(templates._DISOWN, user_id=TENANT),
    "ix_prompt_templates_visibility": _store(
        templates._list(("visibility",)), visibility="public", member_id=TENANT, **_PAGE
    ),
    "ix_prompt_templates_category": _store(templates._list(("category",)), category="c7", member_id=TENANT, **_PAGE),
    "ix_prompt_template_versions_list": _store(versions._LIST, template_id=TENANT, **_PAGE),
    "ix_prompt_template_versions_includes": _store(templates._DEPENDANTS, names=["p8"]),
    "uq_knowledge_bases_name": (
        "SELECT id FROM knowledge_bases WHERE deleted_at IS NULL AND visibility_scope <> 'personal' AND name = 'b8'",
        [],
    ),
    "uq_knowledge_bases_own_name": (
        f"""
        SELECT id FROM knowledge_bases
        WHERE deleted_at IS NULL AND visibility_scope = 'personal' AND owner_user_id = {_SOME_USER} AND name = 'b7'
        """,
        [],
    ),
    "ix_knowledge_bases_live": _store(bases._list(()), member_id=TENANT, **_PAGE),
    "ix_knowledge_bases_deleted": _store(bases._LONG_DELETED, days=100),
    "ix_knowledge_bases_owner_user_id": _store(bases._DISOWN, user_id=TENANT),
    "ix_knowledge_bases_visibility_scope": _store(
        bases._list(("visibility",)), visibility="public", member_id=TENANT, **_PAGE
    ),
    "uq_knowledge_generations_building": _store(rebuilt._WAITING),
    "ix_knowledge_generations_over": _store(rebuilt._EXPIRE),
    "ix_knowledge_builds_document_id": (
        """
        SELECT b.generation FROM knowledge_builds b
        JOIN (SELECT knowledge_base_id, id FROM knowledge_documents LIMIT 1) d
        ON b.knowledge_base_id = d.knowledge_base_id AND b.document_id = d.id
        """,
        [],
    ),
    "uq_knowledge_documents_hash": _store(documents._SAME, base_id=TENANT, file_hash="hash-7"),
    "ix_knowledge_documents_live": _store(documents._list(()), base_id=TENANT, **_PAGE),
    "ix_knowledge_documents_waiting": _store(documents._WAITING),
    "ix_knowledge_documents_deleted": _store(documents._LONG_DELETED, days=100),
    "ix_knowledge_documents_status": _store(documents._list(("status",)), base_id=TENANT, status="failed", **_PAGE),
    "ix_knowledge_documents_file_hash": (
        "SELECT knowledge_base_id FROM knowledge_documents WHERE file_hash = $1",
        ["hash-7"],
    ),
    "ix_document_blobs_document_id": _store(blobs._OF_DOCUMENT, base_id=TENANT, document_id=TENANT),
    "ix_document_blobs_expires_at": _store(blobs.EXPIRED),
    "ix_rag_query_logs_user_id": _store(queries._list(("user_id",)), user_id=TENANT, **_PAGE),
    "ix_rag_query_logs_trace_id": _store(queries._list(("trace_id",)), trace_id="trace-7", **_PAGE),
    "uq_workflows_name": (
        "SELECT id FROM workflows WHERE deleted_at IS NULL AND visibility <> 'personal' AND name = 'w8'",
        [],
    ),
    "uq_workflows_own_name": (
        f"""
        SELECT id FROM workflows
        WHERE deleted_at IS NULL AND visibility = 'personal' AND owner_user_id = {_SOME_USER} AND name = 'w7'
        """,
        [],
    ),
    "ix_workflows_live": _store(workflows._list((), "exclude", personal=False), member_id=TENANT, **_PAGE),
    "ix_workflows_deleted": _store(workflows._LONG_DELETED, days=100),
    "ix_workflows_owner_user_id": _store(workflows._DISOWN, user_id=TENANT),
    "ix_workflows_visibility": _store(
        workflows._list(("visibility",), "exclude", personal=False), visibility="public", member_id=TENANT, **_PAGE
    ),
    "ix_workflow_versions_list": _store(workflows._VERSIONS, workflow_id=TENANT, **_PAGE),
    "uq_agent_configs_name": ("SELECT id FROM agent_configs WHERE deleted_at IS NULL AND name = 'a8'", []),
    "ix_agent_configs_live": _store(agents._list((), "exclude"), **_PAGE),
    "ix_agent_configs_deleted": _store(agents._LONG_DELETED, days=100),
    "ix_agent_configs_agent_type": _store(agents._list(("agent_type",), "exclude"), agent_type="type 7", **_PAGE),
    "ix_workflow_executions_workflow_id": _store(
        executions._list(("workflow_id",), personal=True), workflow_id=TENANT, **_PAGE
    ),
    "ix_workflow_executions_status": _store(executions._list(("status",), personal=True), status="failed", **_PAGE),
    "ix_workflow_executions_trace_id": _store(
        executions._list(("trace_id",), personal=True), trace_id="trace-7", **_PAGE
    ),
    "ix_workflow_executions_user_id": _store(executions._OPEN_OF_PERSON, user_id=TENANT),
    "ix_workflow_executions_parent_execution_id": _store(executions._DESCENDANTS, execution_id=TENANT),
    "uq_generations_called": (
        generations._STATE.sql,
        generations._STATE.arguments_of(TENANT, {"user_id": TENANT, "called": TENANT}),
    ),
    "ix_generations_expires_at": _store(generations.EXPIRED),
    "ix_tenant_jobs_ready": (  # as atrium_admit_jobs asks it
        """
        SELECT id FROM tenant_jobs WHERE tenant_id = $1 AND status = 'ready' AND not_before <= clock_timestamp()
        ORDER BY not_before, id LIMIT $2 FOR UPDATE SKIP LOCKED
        """,
        [TENANT, 5],
    ),
    "ix_tenant_jobs_taken": (backlog._SETTLE, [TENANT]),
}

# As the owner: what runs past row security, in functions on the list, in cascades and in maintenance.
OWNER: dict[str, tuple[str, list[Any]]] = {
    "ix_tenants_live": (
        "SELECT * FROM tenants WHERE deleted_at IS NULL AND id < $1 ORDER BY id DESC LIMIT 51",
        [_LAST],
    ),
    "ix_tenants_status": (
        "SELECT * FROM tenants WHERE deleted_at IS NULL AND id < $1 AND status = 'suspended' ORDER BY id DESC LIMIT 51",
        [_LAST],
    ),
    "ix_tenants_created_at": (
        "SELECT * FROM tenants WHERE deleted_at IS NULL AND created_at > now() - interval '9 hours'",
        [],
    ),
    "ix_tenants_deleted": ("SELECT id FROM tenants WHERE deleted_at < now() - interval '2500 hours'", []),
    "ix_role_permissions_permission_id": ("DELETE FROM role_permissions WHERE permission_id = $1", [TENANT]),
    "ix_prompt_labels_version_id": (
        "DELETE FROM prompt_labels WHERE tenant_id = $1 AND version_id = $2",  # as the foreign key asks it
        [TENANT, TENANT],
    ),
    "ix_models_replacement_model_id": ("SELECT id FROM models WHERE replacement_model_id = $1", [TENANT]),
}


@pytest.fixture(scope="module")
def busy(each_shared: Scratch) -> Scratch:
    """A database with some thousand rows in every table that has an index of its own."""
    asyncio.run(_fill(each_shared))
    return each_shared


async def _fill(scratch: Scratch) -> None:
    async with scratch.connect() as admin:
        await admin.execute(_ROWS.read_text())


def _indexes(plan: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in plan:
        yield plan["Index Name"]
    for inner in plan.get("Plans", ()):
        yield from _indexes(inner)


async def _plan(connection: Any, query: str, arguments: list[Any]) -> list[str]:
    """The indexes that the query's plan uses."""
    return list(
        _indexes(orjson.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments))[0]["Plan"])
    )


async def _used(connection: Any, query: str, arguments: list[Any]) -> set[str]:
    """The same, and those of months by the name of their parent's too."""
    names = await _plan(connection, query, arguments)
    parents = "SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid::regclass::text = ANY ($1)"
    return {*names, *(row[0] for row in await connection.fetch(parents, names))}


def test_every_index_has_its_query_and_says_what_it_serves() -> None:
    indexes = [index for tables in schema_doc.slices().values() for table in tables for index in table.indexes]

    assert {index.name for index in indexes} == {*SERVING, *OWNER, *SEARCHED}
    assert [index.name for index in indexes if not index.unique and not index.info["serves"]] == []


@pytest.mark.parametrize("index", SERVING)
async def test_the_role_that_serves_is_served_by(index: str, busy: Scratch) -> None:
    async with busy.connect(busy.url) as app, app.transaction():
        await app.execute("SELECT set_config('app.tenant_id', $1, true)", str(TENANT))

        assert index in await _used(app, *SERVING[index])


@pytest.mark.parametrize("index", OWNER)
async def test_the_owner_is_served_by(index: str, busy: Scratch) -> None:
    async with busy.connect(busy.owner_url) as owner:
        assert index in await _used(owner, *OWNER[index])


@pytest.mark.parametrize("status", [None, "suspended"])
async def test_a_list_of_live_tenants_looks_at_no_deleted_ones(status: str | None, each_postgres: Cluster) -> None:
    page = "SELECT * FROM atrium_list_tenants($1, $2, $3, 51, 'exclude')"
    async with each_postgres.clone() as scratch, scratch.connect() as admin, admin.transaction():
        await admin.execute(
            "INSERT INTO tenants (name, slug, status, deleted_at) "
            "SELECT 'Gone', 'gone-' || n, 'deleted', now() FROM generate_series(1, 20000) n"
        )
        await admin.execute("SELECT set_config('app.tenant_id', $1, true)", str(PLATFORM_TENANT_ID))
        arguments = [_LAST, UUID(int=0), status]
        await admin.fetch(page, *arguments)  # it is planned with the first

        found = orjson.loads(await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {page}", *arguments))

    assert found[0]["Plan"]["Shared Hit Blocks"] + found[0]["Plan"]["Shared Read Blocks"] < 100


async def test_a_time_filter_looks_at_its_months_alone(busy: Scratch) -> None:
    month = now().date().replace(day=1)
    first, after = bounds(month)
    query, arguments = _store(logs._list_logs(("from_id",)), from_id=first, before=after, most=51)
    async with busy.connect(busy.url) as app, app.transaction():
        await app.execute("SELECT set_config('app.tenant_id', $1, true)", str(TENANT))

        names = await _plan(app, query, arguments)

    assert len(names) == 1
    assert names[0].startswith(partition_name("model_call_logs", month))
