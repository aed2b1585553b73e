"""How much a tenant may have, by its tier and by what the platform gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc import StatusCode as Code

from atrium.identity.v1 import user_pb2
from atrium.knowledge.v1 import knowledge_base_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2, usage_pb2
from atrium.workflow.v1 import workflow_pb2
from tests.factories.knowledge import MODEL, PERSONAL, make_base
from tests.factories.workflows import EDITS, defined, make_workflow, step_workflow
from tests.factories.workflows import PERSONAL as PERSONAL_WORKFLOW
from tests.factories.world import Person, World, refused

FREE, PRO, ENTERPRISE = tenant_pb2.Tenant.TIER_FREE, tenant_pb2.Tenant.TIER_PRO, tenant_pb2.Tenant.TIER_ENTERPRISE


def _in(days: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(days=days))
    return made


@dataclass(frozen=True)
class Counted:
    """Something of which a tenant may have so many. `at_first`: how many a new tenant has; `make`: the call, by its
    number; `ended`, `back`: the calls that delete one and restore it.
    """

    resource: str
    free: int
    pro: int
    at_first: int
    make: Callable[[World, Person, int], Any]
    ended: Callable[[World, Person, str], Any]
    back: Callable[[World, Person, str], Any]

    def __repr__(self) -> str:
        return self.resource

    def limit(self, limit: int | str | None) -> int | None:
        """The number: of a tier's, where it names one."""
        return {"free": self.free, "pro": self.pro}[limit] if isinstance(limit, str) else limit

    async def one(self, world: World, by: Person, number: int) -> str:
        """The id of a new one."""
        made = await self.make(world, by, number)
        return str(getattr(made, made.DESCRIPTOR.fields[0].name).id)


USERS = Counted(
    *("users", 5, 100, 1),
    lambda world, by, number: world.identity.CreateUser(
        user_pb2.CreateUserRequest(username=f"u{number}", email=f"u{number}@example.com"), metadata=by.metadata
    ),
    lambda world, by, this: world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=this), metadata=by.metadata),
    lambda world, by, this: world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=this), metadata=by.metadata),
)
BASES = Counted(
    *("knowledge_bases", 3, 50, 0),
    lambda world, by, number: world.knowledge.CreateKnowledgeBase(
        knowledge_base_pb2.CreateKnowledgeBaseRequest(name=f"b{number}", embedding_model=MODEL), metadata=by.metadata
    ),
    lambda world, by, this: world.knowledge.DeleteKnowledgeBase(
        knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=this), metadata=by.metadata
    ),
    lambda world, by, this: world.knowledge.RestoreKnowledgeBase(
        knowledge_base_pb2.RestoreKnowledgeBaseRequest(id=this), metadata=by.metadata
    ),
)
WORKFLOWS = Counted(
    *("workflows", 10, 200, 0),
    lambda world, by, number: world.workflows.CreateWorkflow(
        workflow_pb2.CreateWorkflowRequest(name=f"w{number}", definition=defined()), metadata=by.metadata
    ),
    lambda world, by, this: step_workflow(world, "Delete", this, by.metadata),
    lambda world, by, this: step_workflow(world, "Restore", this, by.metadata),
)
each_kind = pytest.mark.parametrize("kind", [USERS, BASES, WORKFLOWS], ids=repr)


async def _set(world: World, administrator: Person, **fields: Any) -> None:
    platform = await world.platform()
    request = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, **fields)
    await world.tenants.UpdateTenant(request, metadata=platform.metadata)


async def _usage(world: World, administrator: Person, resource: str) -> tuple[int, int | None]:
    """How many the tenant has, and how many it may have."""
    reply = await world.tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=administrator.metadata)
    (usage,) = [each for each in reply.usage if each.resource == resource]
    return usage.used, usage.limit if usage.HasField("limit") else None


async def _limit(world: World, administrator: Person, resource: str = "users") -> int | None:
    return (await _usage(world, administrator, resource))[1]


@each_kind
async def test_a_hundred_creates_at_once_make_as_many_as_there_is_room_for(world: World, kind: Counted) -> None:
    administrator = await world.tenant(FREE)

    codes = await asyncio.gather(*(kind.make(world, administrator, number).code() for number in range(100)))

    room = kind.free - kind.at_first
    assert (codes.count(Code.OK), codes.count(Code.RESOURCE_EXHAUSTED)) == (room, 100 - room)
    assert await _usage(world, administrator, kind.resource) == (kind.free, kind.free)


@each_kind
async def test_as_many_come_back_at_once_as_there_is_room_for(world: World, kind: Counted) -> None:
    administrator = await world.tenant(FREE)
    await _set(world, administrator, **{f"max_{kind.resource}": 50})
    gone = [await kind.one(world, administrator, number) for number in range(20)]
    for each in gone:
        await kind.ended(world, administrator, each)
    await _set(world, administrator, update_mask={"paths": [f"max_{kind.resource}"]})

    codes = await asyncio.gather(*(kind.back(world, administrator, each).code() for each in gone))

    room = kind.free - kind.at_first
    assert (codes.count(Code.OK), codes.count(Code.RESOURCE_EXHAUSTED)) == (room, 20 - room)
    assert await _usage(world, administrator, kind.resource) == (kind.free, kind.free)


@each_kind
async def test_a_refusal_says_the_limit_and_the_use(world: World, kind: Counted) -> None:
    administrator = await world.tenant(FREE)
    for number in range(2 - kind.at_first):
        await kind.one(world, administrator, number)
    await _set(world, administrator, **{f"max_{kind.resource}": 1})

    refusal = await refused(kind.make(world, administrator, 2))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    (violation,) = refusal.detail(error_details_pb2.QuotaFailure).violations
    assert violation.subject == kind.resource
    assert violation.description == f"The tenant may have 1 {kind.resource}, and has 2."
    told = {"subject": kind.resource, "limit": "1", "used": "2"}
    assert dict(refusal.detail(error_details_pb2.ErrorInfo).metadata) == told


@each_kind
async def test_the_deleted_do_not_count_and_come_back_only_where_there_is_room(world: World, kind: Counted) -> None:
    administrator = await world.tenant(FREE)
    gone = await kind.one(world, administrator, 0)
    await kind.ended(world, administrator, gone)
    room = kind.free - kind.at_first
    last = [await kind.one(world, administrator, number) for number in range(1, 1 + room)][-1]

    refusal = await refused(kind.back(world, administrator, gone))
    live = await refused(kind.back(world, administrator, last))
    unknown = await refused(kind.back(world, administrator, administrator.tenant_id))
    await kind.ended(world, administrator, last)
    await kind.back(world, administrator, gone)

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED")
    assert live.reason == "NOT_DELETED", "what there is no room for is there already"
    assert unknown.code is Code.NOT_FOUND
    assert await _usage(world, administrator, kind.resource) == (kind.free, kind.free)


async def test_bases_count_whoever_sees_them_and_whatever_is_done_with_them(world: World) -> None:
    administrator, platform = await world.tenant(FREE), await world.platform()
    person = await world.user(administrator, "knowledge_bases:manage")
    kept = await make_base(world, administrator, "kept")
    archive = knowledge_base_pb2.ArchiveKnowledgeBaseRequest(id=kept)
    await world.knowledge.ArchiveKnowledgeBase(archive, metadata=administrator.metadata)
    await make_base(world, person, "personal", visibility=PERSONAL)
    inside = {"metadata": (*platform.metadata, ("x-tenant-id", administrator.tenant_id))}
    request = knowledge_base_pb2.CreateKnowledgeBaseRequest(name="nobody's", embedding_model=MODEL)
    await world.knowledge.CreateKnowledgeBase(request, **inside)

    refusals = [await refused(make_base(world, by, "more")) for by in (administrator, person)]
    request.name = "more"
    refusals.append(await refused(world.knowledge.CreateKnowledgeBase(request, **inside)))

    assert {refusal.reason for refusal in refusals} == {"QUOTA_EXCEEDED"}
    assert await _usage(world, administrator, "knowledge_bases") == (3, 3)


async def test_workflows_count_whoever_sees_them_and_however_many_versions_they_have(world: World) -> None:
    administrator, platform = await world.tenant(FREE), await world.platform()
    await _set(world, administrator, max_workflows=3)
    person = await world.user(administrator, *EDITS)
    kept = await make_workflow(world, administrator, "kept")
    more = {"definition": defined({"id": "other", "transform": {"value": "2"}})}
    await step_workflow(world, "Update", kept, administrator.metadata, **more)
    await make_workflow(world, person, "personal", visibility=PERSONAL_WORKFLOW)
    inside = {"metadata": (*platform.metadata, ("x-tenant-id", administrator.tenant_id))}
    request = workflow_pb2.CreateWorkflowRequest(
        name="nobody's", definition=defined(), visibility=workflow_pb2.Workflow.VISIBILITY_TENANT
    )
    await world.workflows.CreateWorkflow(request, **inside)

    refusals = [await refused(make_workflow(world, by, "more")) for by in (administrator, person)]
    request.name = "more"
    refusals.append(await refused(world.workflows.CreateWorkflow(request, **inside)))

    assert {refusal.reason for refusal in refusals} == {"QUOTA_EXCEEDED"}
    assert await _usage(world, administrator, "workflows") == (3, 3)


async def test_a_tenant_has_its_own_room_whatever_others_have(world: World) -> None:
    administrator, other = await world.tenant(FREE), await world.tenant(FREE)
    for number in range(3):
        await BASES.one(world, other, number)

    await BASES.one(world, administrator, 0)

    assert await _usage(world, administrator, "knowledge_bases") == (1, 3)


@each_kind
@pytest.mark.parametrize(
    ("tier", "fields", "limit"),
    [
        (FREE, {}, "free"),
        (PRO, {}, "pro"),
        (ENTERPRISE, {}, None),
        (ENTERPRISE, {"most": 7}, 7),
        (FREE, {"most": 0}, 0),
        (PRO, {"trial_end_time": 1}, "pro"),
        (PRO, {"trial_end_time": -1}, "free"),
        (PRO, {"trial_end_time": -1, "subscription_end_time": 1}, "pro"),
        (PRO, {"subscription_end_time": -1}, "free"),
        (PRO, {"trial_end_time": 1, "subscription_end_time": -1}, "free"),
        (FREE, {"raises": [("this", 19, 1)]}, 19),
        (FREE, {"raises": [("another", 19, 1)]}, "free"),
        (FREE, {"raises": [("this", 2, 1)], "most": 50}, 50),
        (FREE, {"raises": [("this", 60, 1)], "most": 50}, 60),
        (ENTERPRISE, {"raises": [("this", 2, 1)]}, None),
        (PRO, {"subscription_end_time": -1, "most": 50}, 50),
    ],
    ids=repr,
)
async def test_the_limit_follows_from_the_tier_and_what_was_given(
    world: World, kind: Counted, tier: int, fields: dict[str, Any], limit: int | str | None
) -> None:
    administrator = await world.tenant(tier)
    values: dict[str, Any] = {name: _in(value) for name, value in fields.items() if name.endswith("_time")}
    if "most" in fields:
        values[f"max_{kind.resource}"] = fields["most"]
    if "raises" in fields:
        named = {"this": kind.resource, "another": "workflows" if kind is USERS else "users"}
        values["quota_raises"] = [
            {"resource": named[resource], "limit": raised, "expire_time": _in(days)}
            for resource, raised, days in fields["raises"]
        ]
    if values:
        await _set(world, administrator, **values)

    assert await _limit(world, administrator, kind.resource) == kind.limit(limit)


@each_kind
async def test_a_raise_holds_until_it_is_over(world: World, admin: Any, kind: Counted) -> None:
    administrator = await world.tenant(FREE)
    raised = [{"resource": kind.resource, "limit": kind.free + 1, "expire_time": _in(1)}]
    await _set(world, administrator, quota_raises=raised)
    made = [await kind.one(world, administrator, number) for number in range(kind.free + 1 - kind.at_first)]
    await admin.execute(
        "UPDATE tenants SET quota_override = jsonb_set(quota_override, ARRAY[$2, 'until'], to_jsonb(now())) "
        "WHERE id = $1",
        administrator.tenant_id,
        kind.resource,
    )

    refusal = await refused(kind.make(world, administrator, 100))
    await kind.ended(world, administrator, made[0])
    again = await refused(kind.make(world, administrator, 100))

    assert refusal.reason == again.reason == "QUOTA_EXCEEDED"
    assert await _usage(world, administrator, kind.resource) == (kind.free, kind.free)


@pytest.mark.parametrize("end", [Timestamp(seconds=253_402_300_800), Timestamp(seconds=1_700_000_000)], ids=repr)
async def test_a_raise_that_ends_at_no_moment_to_come_names_its_field(world: World, end: Timestamp) -> None:
    administrator = await world.tenant(FREE)
    platform = await world.platform()
    never = [{"resource": "users", "limit": 9, "expire_time": end}]
    request = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, quota_raises=never)

    refusal = await refused(world.tenants.UpdateTenant(request, metadata=platform.metadata))

    assert refusal.code == Code.INVALID_ARGUMENT
    assert refusal.fields == ["quota_raises[0].expire_time"]


async def test_a_raise_is_taken_back(world: World) -> None:
    administrator = await world.tenant(FREE)
    raised = [{"resource": "users", "limit": 9, "expire_time": _in(1)}]
    await _set(world, administrator, quota_raises=raised)
    shown = await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), metadata=administrator.metadata)

    await _set(world, administrator, update_mask={"paths": ["quota_raises"]})

    assert [(each.resource, each.limit) for each in shown.tenant.quota_raises] == [("users", 9)]
    assert await _limit(world, administrator) == 5


async def test_what_it_pays_for_is_not_a_tenants_to_decide(world: World) -> None:
    administrator = await world.tenant(FREE)
    attempts: list[dict[str, Any]] = [
        {"tier": ENTERPRISE},
        {"max_users": 1000},
        {"max_knowledge_bases": 1000},
        {"max_workflows": 1000},
        {"trial_end_time": _in(1000)},
        {"subscription_end_time": _in(1000)},
        {"quota_raises": [{"resource": "users", "limit": 9, "expire_time": _in(1)}]},
        {"update_mask": {"paths": ["trial_end_time"]}},
    ]

    for fields in attempts:
        refusal = await refused(
            world.tenants.UpdateTenant(tenant_pb2.UpdateTenantRequest(**fields), metadata=administrator.metadata)
        )
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PLATFORM_ONLY"), fields


async def test_usage_stands_beside_its_limit_with_what_the_tier_gives(world: World) -> None:
    administrator = await world.tenant(PRO)
    await world.user(administrator)
    await make_base(world, administrator)
    for name in ("one", "another"):
        await make_workflow(world, administrator, name)

    usage = await world.tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=administrator.metadata)

    assert [(each.resource, each.used, each.limit) for each in usage.usage] == [
        ("users", 2, 100),
        ("workflows", 2, 200),
        ("knowledge_bases", 1, 50),
    ]
    assert not usage.call_limits
    assert (usage.tier, list(usage.features)) == (PRO, ["custom_models", "own_credentials"])


@pytest.mark.parametrize(("tier", "code"), [(FREE, Code.FAILED_PRECONDITION), (ENTERPRISE, Code.OK)])
async def test_a_longer_retention_is_what_the_highest_tier_pays_for(world: World, tier: int, code: Code) -> None:
    administrator = await world.tenant(tier)
    settings = [
        name for name in tenant_config_pb2.UpdateTenantConfigRequest.DESCRIPTOR.fields_by_name if "_retention_" in name
    ]
    assert len(settings) == 6

    for name in settings:
        request = tenant_config_pb2.UpdateTenantConfigRequest(**{name: 3650})
        assert await world.tenants.UpdateTenantConfig(request, metadata=administrator.metadata).code() is code, name
    usual = tenant_config_pb2.UpdateTenantConfigRequest(audit_retention_days=90, soft_delete_retention_days=0)
    config = (await world.tenants.UpdateTenantConfig(usual, metadata=administrator.metadata)).config
    assert (config.audit_retention_days, config.soft_delete_retention_days) == (90, 0)
