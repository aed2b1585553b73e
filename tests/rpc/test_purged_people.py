"""What is left of somebody who was removed for good: nothing of theirs, and nothing that names them but records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import role_pb2, session_pb2, user_pb2
from atrium.knowledge.v1 import knowledge_base_pb2
from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from atrium.workflow.v1 import workflow_pb2
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.service.expiry import Expiry
from server.work import belongings
from tests.factories.agents import get_agent, make_agent, step_agent
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import MODEL, NOT_FOR_EVER, get_base, ingest, make_base, start, step
from tests.factories.knowledge import PERSONAL as PERSONAL_BASE
from tests.factories.prompts import PERSONAL, TENANT, make_template, make_version, set_label
from tests.factories.workflows import EDITS, defined, get_workflow, make_workflow, step_workflow, transform, versions_of
from tests.factories.workflows import PERSONAL as PERSONAL_WORKFLOW
from tests.factories.world import Person, World, refused
from tests.gateways import chat_with, stream_from

RECORDS = {"audit_logs", "model_call_logs", "usage_rollups", "quota_ledger"}
"""What happened, and what was used: it is kept as long as that is, and names who it was."""


async def _naming(admin: Any, *texts: str) -> set[str]:
    """The tables that have a row with one of the texts in it, without those of records."""
    tables = await admin.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace "
        "AND NOT relispartition"
    )
    found = set()
    for (table,) in tables:
        rows = await admin.fetch(f'SELECT to_jsonb(t)::text FROM "{table}" t')
        if any(text in row[0] for row in rows for text in texts):
            found.add(table)
    return found - RECORDS


Purge = Callable[[Person, Person], Awaitable[object]]


@pytest.fixture(params=["call", "upkeep"])
def purge(request: pytest.FixtureRequest, gateway: World, database: Database, admin: Any) -> Purge:
    """Removes the deleted person for good, as a super administrator or long after they were deleted."""

    async def call(administrator: Person, person: Person) -> object:
        platform = await gateway.platform()
        inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
        return await gateway.identity.PurgeUser(user_pb2.PurgeUserRequest(id=person.id), metadata=inside)

    async def upkeep(administrator: Person, person: Person) -> object:
        await admin.execute("UPDATE users SET deleted_at = deleted_at - interval '31 days' WHERE id = $1", person.id)
        expiry = Expiry(database, AuditLog(database), belongings())
        return await expiry.sweep(UUID(administrator.tenant_id), 30)

    return call if request.param == "call" else upkeep


async def _leave_traces(world: World, person: Person) -> list[str]:
    """What a person may leave anywhere; the ids of a template that others see and of their key."""
    metadata = person.metadata
    await world.identity.CreateRole(
        role_pb2.CreateRoleRequest(name="r", code="of_a_key", idempotency_key="mine"), metadata=metadata
    )
    key = await make_key(world, person, "roles:manage")
    await world.identity.CreateRole(
        role_pb2.CreateRoleRequest(name="r", code="of_mine", idempotency_key="mine"), metadata=with_key(key.secret)
    )
    login = session_pb2.LoginRequest(tenant=person.tenant, login=person.username, password="wrong wrong wrong")
    assert (await refused(world.identity.Login(login))).reason == "LOGIN_FAILED"
    await chat_with(world, person, "stub-fast-3")
    async for _ in stream_from(world, person, "stub-fast-3", resumable=True):
        pass
    shared = await make_template(world, person, "shared", TENANT)
    version = await make_version(world, person, shared, "Hello")
    await set_label(world, person, shared, "production", version.version)
    await make_template(world, person, "mine", PERSONAL)
    shared_base = await make_base(world, person, "shared", idempotency_key="of a shared base")
    await make_base(world, person, "mine", visibility=PERSONAL_BASE, idempotency_key="of a base of mine")
    await ingest(world, person, shared_base, "A document of theirs.")
    deleted = await ingest(world, person, shared_base, "A document that they deleted.")
    await step(world, "Delete", deleted.id, person.metadata)
    await start(world, person, shared_base, idempotency_key="of an upload")
    await make_workflow(world, person, "shared", idempotency_key="of a shared workflow")
    await make_workflow(world, person, "mine", visibility=PERSONAL_WORKFLOW, idempotency_key="of a workflow of mine")
    await _delete_things(world, person)
    return [shared, key.api_key.id]


async def _delete_things(world: World, person: Person) -> None:
    """One of each kind that is kept when it is deleted."""
    who = {"metadata": person.metadata}
    role = await world.role(person)
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), **who)
    user = await world.user(person)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), **who)
    template = await make_template(world, person, "deleted", TENANT)
    await world.prompts.DeleteTemplate(template_pb2.DeleteTemplateRequest(id=template), **who)
    for name, visibility in (("deleted", None), ("mine, deleted", PERSONAL_BASE)):
        base = await make_base(world, person, name, visibility=visibility)
        await world.knowledge.DeleteKnowledgeBase(knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=base), **who)
    for name, fields in (("deleted", {}), ("mine, deleted", {"visibility": PERSONAL_WORKFLOW})):
        await step_workflow(world, "Delete", await make_workflow(world, person, name, **fields), person.metadata)
    await step_agent(world, "Delete", (await make_agent(world, person, "deleted")).id, person.metadata)


async def _fail_mails(admin: Any, person: Person) -> None:
    """Two mails to them could not be delivered: one is tried again in an hour, and one was put aside."""
    await admin.execute(
        "WITH again AS (INSERT INTO tenant_jobs (tenant_id, entrypoint, payload, failed_runs, not_before) "
        "VALUES ($1, 'mail/1', $2, 7, now() + interval '1 hour')), "
        "aside AS (INSERT INTO tenant_jobs (tenant_id, entrypoint, payload, failed_runs, status) "
        "VALUES ($1, 'mail/1', $2, 8, 'aside') RETURNING tenant_id, id) "
        "INSERT INTO jobs.pgqueuer (priority, status, entrypoint, dedupe_key) "
        "SELECT 0, 'failed', 'mail/1', tenant_id || '/' || id FROM aside",
        person.tenant_id,
        orjson.dumps({"user_id": person.id}).decode(),
    )


async def test_nothing_is_left_of_who_was_removed_for_good(gateway: World, admin: Any, purge: Purge) -> None:
    administrator = await gateway.tenant()
    settings = tenant_config_pb2.UpdateTenantConfigRequest(store_prompts=True)
    await gateway.tenants.UpdateTenantConfig(settings, metadata=administrator.metadata)
    needed = (
        *("roles:manage", "users:manage", "models:execute", "models:read"),
        *("templates:manage", "prompt_labels:manage", "knowledge_bases:manage", *EDITS),
    )
    person = await gateway.user(administrator, *needed)
    other = await gateway.user(administrator, *needed)
    shared, key_id = await _leave_traces(gateway, person)
    theirs = await make_template(gateway, other, "theirs", TENANT)
    version = await make_version(gateway, other, theirs, "Hello")
    await set_label(gateway, other, theirs, "production", version.version)
    await chat_with(gateway, other, "stub-fast-3")
    others_base = await make_base(gateway, other, "theirs")
    change = knowledge_base_pb2.UpdateKnowledgeBaseRequest(id=others_base, description="Changed")
    await gateway.knowledge.UpdateKnowledgeBase(change, metadata=person.metadata)
    others_workflow = await make_workflow(gateway, other, "theirs")
    another = {"definition": defined(transform("another"))}
    await step_workflow(gateway, "Update", others_workflow, person.metadata, **another)
    labels = label_pb2.ListLabelsRequest(template_id=shared)
    before = (await gateway.prompts.ListLabels(labels, metadata=administrator.metadata)).labels[0]
    assert before.moved_by == person.id
    assert await admin.fetchval("SELECT count(*) FROM call_contents") == 3
    for whose in (person, other):
        await _fail_mails(admin, whose)
    asked = (
        "INSERT INTO rag_query_logs (tenant_id, user_id, knowledge_base_ids, query_text, mode, top_k, retrieved_count, "
        "latency_ms) VALUES ($1, $2, '{}', 'tides', 'text', 1, 0, 1)"
    )
    for whose in (person, other):
        await admin.execute(asked, administrator.tenant_id, whose.id)
    assert {
        *("idempotency_keys", "sign_in_guesses", "generations", "prompt_template_versions"),
        *("users", "roles", "prompt_templates", "tenant_jobs", "knowledge_bases"),
        *("knowledge_documents", "document_blobs", "rag_query_logs", "workflows", "workflow_versions"),
        "agent_configs",
    } <= await _naming(admin, person.id)
    await gateway.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=administrator.metadata)

    await purge(administrator, person)

    async with asyncio.timeout(NOT_FOR_EVER):
        while await _naming(admin, person.id, person.username, key_id):  # noqa: ASYNC110 - a mail in the queue ends by itself
            await asyncio.sleep(0.02)
    assert await admin.fetchval("SELECT count(*) FROM call_contents") == 1
    assert await admin.fetchval("SELECT count(*) FROM generations") == 0
    assert await admin.fetchval("SELECT count(*) FROM tenant_jobs WHERE entrypoint = 'mail/1'") == 2
    documents = await admin.fetch("SELECT uploaded_by, deleted_by FROM knowledge_documents")
    assert [tuple(row) for row in documents] == [(None, None)] * 2
    originals = await admin.fetch("SELECT started_by, started_with FROM document_blobs")
    assert [tuple(row) for row in originals] == [(None, None)] * 2, "what they were uploading is gone"
    assert await admin.fetchval("SELECT count(*) FROM rag_query_logs") == 1
    after = (await gateway.prompts.ListLabels(labels, metadata=administrator.metadata)).labels[0]
    assert (after.moved_by, after.update_time, after.etag) == ("", before.update_time, before.etag)
    made = version_pb2.ListVersionsRequest(template_id=shared)
    (kept,) = (await gateway.prompts.ListVersions(made, metadata=administrator.metadata)).versions
    assert kept.created_by == ""
    made = version_pb2.ListVersionsRequest(template_id=theirs)
    (others,) = (await gateway.prompts.ListVersions(made, metadata=administrator.metadata)).versions
    assert others.created_by == other.id
    request = knowledge_base_pb2.ListKnowledgeBasesRequest(deleted=deleted_pb2.DELETED_INCLUDE)
    found = (await gateway.knowledge.ListKnowledgeBases(request, metadata=administrator.metadata)).knowledge_bases
    named = {base.name: (base.owner_user_id, base.created_by, base.updated_by) for base in found}
    assert named == {"shared": ("", "", ""), "deleted": ("", "", ""), "theirs": (other.id, other.id, "")}
    shown = workflow_pb2.ListWorkflowsRequest(deleted=deleted_pb2.DELETED_INCLUDE)
    left = (await gateway.workflows.ListWorkflows(shown, metadata=administrator.metadata)).workflows
    assert {one.name: one.owner_user_id for one in left} == {"shared": "", "deleted": "", "theirs": other.id}
    versions = await versions_of(gateway, administrator, others_workflow)
    assert [(one.version, one.created_by) for one in versions] == [("v1.1", ""), ("v1.0", other.id)]
    told = orjson.loads(await admin.fetchval("SELECT details FROM audit_logs WHERE action = 'users.purge'"))
    assert (told["streams_removed"], told["kept_calls_removed"]) == (1, 2)


async def test_nothing_names_a_person_of_the_platform_either_in_whatever_tenant_they_did_something(
    gateway: World, admin: Any, purge: Purge
) -> None:
    platform, administrator, others = await gateway.platform(), await gateway.tenant(), await gateway.tenant()
    needed = ("tenants:manage", "roles:manage", "users:manage", "templates:manage", "knowledge_bases:manage", *EDITS)
    person = await gateway.user(platform, *needed)
    inside = (*person.metadata, ("x-tenant-id", administrator.tenant_id))
    base = await make_base(gateway, administrator, "theirs")
    await step(gateway, "Delete", (await ingest(gateway, administrator, base, "Tides.")).id, inside)
    role, user = await gateway.role(administrator), await gateway.user(administrator)
    template = await make_template(gateway, administrator, "theirs", TENANT)
    workflow, agent = await make_workflow(gateway, administrator, "theirs"), await make_agent(gateway, administrator)
    await gateway.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=inside)
    await gateway.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=inside)
    await gateway.prompts.DeleteTemplate(template_pb2.DeleteTemplateRequest(id=template), metadata=inside)
    delete = knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=base)
    await gateway.knowledge.DeleteKnowledgeBase(delete, metadata=inside)
    await step_workflow(gateway, "Delete", workflow, inside)
    await step_agent(gateway, "Delete", agent.id, inside)
    by = {"id": others.tenant_id}
    await gateway.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=person.metadata)
    assert await admin.fetchval("SELECT deleted_by FROM tenants WHERE id = $1", others.tenant_id) == person.id
    await gateway.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=platform.metadata)

    await purge(platform, person)

    assert await _naming(admin, person.id, person.username) == set()
    row = await admin.fetchrow("SELECT status, deleted_at, deleted_by FROM tenants WHERE id = $1", others.tenant_id)
    assert (row["status"], row["deleted_at"] is not None, row["deleted_by"]) == ("deleted", True, None)


async def test_nothing_is_answered_of_a_purged_role_template_base_workflow_or_agent(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    who = {"metadata": administrator.metadata}
    inside = {"metadata": (*platform.metadata, ("x-tenant-id", administrator.tenant_id))}
    role = role_pb2.CreateRoleRequest(name="r", code="gone", idempotency_key="key")
    template = template_pb2.CreateTemplateRequest(name="gone", visibility=TENANT, idempotency_key="key")
    base = knowledge_base_pb2.CreateKnowledgeBaseRequest(name="gone", embedding_model=MODEL, idempotency_key="key")
    workflow = {"name": "gone", "idempotency_key": "key"}
    role_id = (await world.identity.CreateRole(role, **who)).role.id
    template_id = (await world.prompts.CreateTemplate(template, **who)).template.id
    base_id = (await world.knowledge.CreateKnowledgeBase(base, **who)).knowledge_base.id
    workflow_id = await make_workflow(world, administrator, **workflow)
    agent_id = (await make_agent(world, administrator, **workflow)).id
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role_id), **who)
    await world.prompts.DeleteTemplate(template_pb2.DeleteTemplateRequest(id=template_id), **who)
    await world.knowledge.DeleteKnowledgeBase(knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=base_id), **who)
    await step_workflow(world, "Delete", workflow_id, **who)
    await step_agent(world, "Delete", agent_id, **who)
    await world.identity.PurgeRole(role_pb2.PurgeRoleRequest(id=role_id), **inside)
    await world.prompts.PurgeTemplate(template_pb2.PurgeTemplateRequest(id=template_id), **inside)
    await world.knowledge.PurgeKnowledgeBase(knowledge_base_pb2.PurgeKnowledgeBaseRequest(id=base_id), **inside)
    await step_workflow(world, "Purge", workflow_id, **inside)
    await step_agent(world, "Purge", agent_id, **inside)

    role_again = (await world.identity.CreateRole(role, **who)).role.id
    template_again = (await world.prompts.CreateTemplate(template, **who)).template.id
    base_again = (await world.knowledge.CreateKnowledgeBase(base, **who)).knowledge_base.id
    workflow_again = await make_workflow(world, administrator, **workflow)
    agent_again = (await make_agent(world, administrator, **workflow)).id

    assert role_again != role_id
    assert template_again != template_id
    assert base_again != base_id
    assert workflow_again != workflow_id
    assert agent_again != agent_id
    await world.identity.GetRole(role_pb2.GetRoleRequest(id=role_again), **who)
    await world.prompts.GetTemplate(template_pb2.GetTemplateRequest(id=template_again), **who)
    await get_base(world, administrator, base_again)
    await get_workflow(world, administrator, workflow_again)
    await get_agent(world, administrator, agent_again)
