"""Each step of a thing's life: what it is told of with, what stands in the way of a return, and what comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2, role_pb2, user_pb2
from atrium.knowledge.v1 import knowledge_base_pb2
from atrium.model.v1 import usage_pb2
from atrium.tenant.v1 import tenant_pb2
from atrium.workflow.v1 import agent_pb2, workflow_pb2
from tests.factories.agents import make_agent
from tests.factories.knowledge import make_base
from tests.factories.workflows import make_workflow
from tests.factories.world import Person, World, refused

Step = Callable[[Any], Any]


class Life:
    """What is done to one of these, by its administrator or by the platform's inside it."""

    def __init__(self, world: World, kind: str, id: str, by: Any, platform: Any) -> None:
        self.id = id
        self._by = by
        self._platform = platform
        stub, service = {
            "user": (user_pb2, world.identity),
            "role": (role_pb2, world.identity),
            "knowledge base": (knowledge_base_pb2, world.knowledge),
            "workflow": (workflow_pb2, world.workflows),
            "agent": (agent_pb2, world.workflows),
            "tenant": (tenant_pb2, world.tenants),
        }[kind]
        self._stub, self._service, self._name = stub, service, kind.title().replace(" ", "")

    def step(self, verb: str) -> Any:
        request = getattr(self._stub, f"{verb}{self._name}Request")(id=self.id)
        metadata = self._platform if verb == "Purge" else self._by
        return getattr(self._service, f"{verb}{self._name}")(request, metadata=metadata)


async def _life(world: World, kind: str, administrator: Person, *, inside: bool = False) -> Life:
    platform = await world.platform()
    from_above = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
    match kind:
        case "user":
            made = (await world.user(administrator)).id
        case "role":
            made = (await world.role(administrator, "users:read")).id
        case "knowledge base":
            made = await make_base(world, administrator)
        case "workflow":
            made = await make_workflow(world, administrator)
        case "agent":
            made = (await make_agent(world, administrator)).id
        case _:
            return Life(world, kind, administrator.tenant_id, platform.metadata, platform.metadata)
    return Life(world, kind, made, from_above if inside else administrator.metadata, from_above)


@pytest.mark.parametrize(
    ("kind", "inside"),
    [
        *[("user", False), ("user", True), ("role", False), ("role", True), ("tenant", True)],
        *[("knowledge base", False), ("knowledge base", True), ("workflow", False), ("workflow", True)],
        *[("agent", False), ("agent", True)],
    ],
)
async def test_each_step_is_audited_with_what_was_before_and_after(
    world: World, admin: Any, kind: str, *, inside: bool
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    life = await _life(world, kind, administrator, inside=inside)

    for verb in ("Delete", "Restore", "Delete", "Purge"):
        await life.step(verb)

    rows = await admin.fetch(
        "SELECT split_part(action, '.', 2) AS step, old_value, new_value, status, user_id::text, tenant_id::text, "
        "acting_for::text FROM audit_logs WHERE resource_id = $1 AND split_part(action, '.', 2) IN "
        "('delete', 'restore', 'purge') ORDER BY id",
        life.id,
    )
    # What is told of a purged tenant is told where it outlives the tenant; the rest has gone with it.
    steps = ["purge"] if kind == "tenant" else ["delete", "restore", "delete", "purge"]
    who = platform.id if inside else administrator.id
    # Who is not of the tenant is named where what happened is, and not in what is the tenant's.
    deleter = None if inside and kind != "tenant" else who
    assert [row["step"] for row in rows] == steps
    for row in rows:
        old, new = (orjson.loads(row[name]) if row[name] else None for name in ("old_value", "new_value"))
        by = platform.id if row["step"] == "purge" else who
        assert (row["status"], row["user_id"]) == ("success", by)
        if kind == "tenant":
            assert (row["tenant_id"], row["acting_for"]) == (platform.tenant_id, None)
        else:
            assert row["acting_for"] == (administrator.tenant_id if by == platform.id else None)
        before, after = old, new or {}
        if row["step"] == "delete":
            assert (before["deleted_at"], before["deleted_by"]) == (None, None)
            assert (after["deleted_at"] is not None, after["deleted_by"]) == (True, deleter)
        else:
            assert (before["deleted_at"] is not None, before["deleted_by"]) == (True, deleter)
            assert (new is None) == (row["step"] == "purge")
            assert (after.get("deleted_at"), after.get("deleted_by")) == (None, None)


async def test_each_step_of_a_tenant_is_audited_in_the_tenant(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    life = await _life(world, "tenant", administrator)

    for verb in ("Delete", "Restore"):
        await life.step(verb)

    rows = await admin.fetch(
        "SELECT action, old_value->>'status' AS before, new_value->>'status' AS after, "
        "coalesce(new_value->>'deleted_by', old_value->>'deleted_by') AS by, user_id::text, acting_for::text "
        "FROM audit_logs WHERE tenant_id = $1 AND action IN ('tenants.delete', 'tenants.restore') ORDER BY id",
        administrator.tenant_id,
    )
    both = (platform.id, platform.id, administrator.tenant_id)
    assert [tuple(row) for row in rows] == [
        ("tenants.delete", "active", "deleted", *both),
        ("tenants.restore", "deleted", "active", *both),
    ]


async def _take_email(world: World, by: Person, life: Life) -> None:
    get = user_pb2.GetUserRequest(id=life.id, deleted=2)
    email = (await world.identity.GetUser(get, metadata=by.metadata)).user.email
    twin = user_pb2.CreateUserRequest(username="else", email=email.upper())
    await world.identity.CreateUser(twin, metadata=by.metadata)


async def _take_code(world: World, by: Person, life: Life) -> None:
    get = role_pb2.GetRoleRequest(id=life.id, deleted=2)
    code = (await world.identity.GetRole(get, metadata=by.metadata)).role.code
    await world.identity.CreateRole(role_pb2.CreateRoleRequest(name="else", code=code), metadata=by.metadata)


async def _take_bases_name(world: World, by: Person, _: Life) -> None:
    await make_base(world, by)


async def _take_workflows_name(world: World, by: Person, _: Life) -> None:
    await make_workflow(world, by)


async def _take_agents_name(world: World, by: Person, _: Life) -> None:
    await make_agent(world, by)


async def _restore(_: World, __: Person, life: Life) -> None:
    await life.step("Restore")


@pytest.mark.parametrize(
    ("kind", "meanwhile", "code", "reason"),
    [
        ("user", _take_email, Code.ALREADY_EXISTS, "EMAIL_TAKEN"),
        ("role", _take_code, Code.ALREADY_EXISTS, "ROLE_CODE_TAKEN"),
        ("knowledge base", _take_bases_name, Code.ALREADY_EXISTS, "KNOWLEDGE_BASE_NAME_TAKEN"),
        ("workflow", _take_workflows_name, Code.ALREADY_EXISTS, "WORKFLOW_NAME_TAKEN"),
        ("agent", _take_agents_name, Code.ALREADY_EXISTS, "AGENT_NAME_TAKEN"),
        ("user", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
        ("role", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
        ("knowledge base", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
        ("workflow", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
        ("agent", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
        ("tenant", _restore, Code.FAILED_PRECONDITION, "NOT_DELETED"),
    ],
)
async def test_what_stands_in_the_way_of_a_return_is_told(
    world: World, kind: str, meanwhile: Callable[[World, Person, Life], Awaitable[None]], code: Code, reason: str
) -> None:
    administrator = await world.tenant()
    life = await _life(world, kind, administrator)
    await life.step("Delete")
    await meanwhile(world, administrator, life)

    refusal = await refused(life.step("Restore"))

    assert (refusal.code, refusal.reason) == (code, reason)


@pytest.mark.parametrize("state", [user_pb2.User.STATE_INACTIVE, user_pb2.User.STATE_LOCKED])
async def test_whoever_was_out_comes_back_as_they_were(world: World, state: Any) -> None:
    administrator = await world.tenant()
    life = await _life(world, "user", administrator)
    if state == user_pb2.User.STATE_LOCKED:
        await world.identity.LockUser(user_pb2.LockUserRequest(id=life.id), metadata=administrator.metadata)
    else:
        change = user_pb2.UpdateUserRequest(id=life.id, state=state)
        await world.identity.UpdateUser(change, metadata=administrator.metadata)
    await life.step("Delete")

    restored = await life.step("Restore")

    assert restored.user.state == state


async def test_a_purged_role_is_gone_from_whoever_held_it(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    life = await _life(world, "role", administrator)
    person = await world.user(administrator)
    assign = role_pb2.AssignRoleRequest(user_id=person.id, role_id=life.id)
    await world.identity.AssignRole(assign, metadata=administrator.metadata)
    await life.step("Delete")

    await life.step("Purge")

    for table, column in (("roles", "id"), ("user_roles", "role_id"), ("role_permissions", "role_id")):
        assert await admin.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", life.id) == 0
    assert (await refused(life.step("Restore"))).reason == "ROLE_NOT_FOUND"


async def test_limits_on_calls_are_hidden_with_their_user_and_come_back(world: World) -> None:
    administrator = await world.tenant()
    who = {"metadata": administrator.metadata}
    user, other = await world.user(administrator), await world.user(administrator)
    key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:read"])
    key_id = (await world.identity.CreateApiKey(key, metadata=user.metadata)).api_key.id
    subjects = [{"user_id": user.id}, {"user_id": other.id}, {"api_key_id": key_id}]
    made = [
        (await world.models.SetModelLimits(usage_pb2.SetModelLimitsRequest(**whose, parallel_calls=2), **who)).limits
        for whose in subjects
    ]

    async def listed() -> list[Any]:
        pages, token = [], ""
        while not pages or token:
            request = usage_pb2.ListModelLimitsRequest(page_size=1, page_token=token)
            reply = await world.models.ListModelLimits(request, **who)
            pages.append(list(reply.limits))
            token = reply.next_page_token
        return [limits for page in pages for limits in page]

    before = await listed()
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), **who)
    hidden = await listed()
    used = [
        await refused(world.models.SetModelLimits(usage_pb2.SetModelLimitsRequest(**whose, parallel_calls=3), **who))
        for whose in (subjects[0], subjects[2])
    ]
    read = [
        await refused(call)
        for whose, limits in ((subjects[0], made[0]), (subjects[2], made[2]))
        for call in (
            world.models.GetModelLimits(usage_pb2.GetModelLimitsRequest(**whose), **who),
            world.models.DeleteModelLimits(usage_pb2.DeleteModelLimitsRequest(id=limits.id), **who),
        )
    ]
    await world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=user.id), **who)

    assert before == made[::-1]
    assert hidden == [made[1]]
    assert [(each.code, each.reason) for each in used] == [(Code.FAILED_PRECONDITION, "USER_DELETED")] * 2
    assert [each.reason for each in read] == ["LIMIT_SUBJECT_UNKNOWN", "LIMITS_NOT_FOUND"] * 2
    assert await listed() == before
