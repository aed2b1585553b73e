"""Roles at work: what they give and deny, to whom, and until when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.rpc import error_details_pb2

from atrium.identity.v1 import permission_pb2, role_pb2, session_pb2, user_pb2
from server.identity.store.sessions import CHANGED
from tests.factories.world import World, refused

ALLOW, DENY = role_pb2.EFFECT_ALLOW, role_pb2.EFFECT_DENY


async def test_a_role_is_made_filled_given_and_taken(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    role = await world.role(administrator, "call_logs:read", "roles:read")
    check = permission_pb2.CheckPermissionRequest(permissions=["call_logs:read", "users:manage"])
    assign = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id)
    unassign = role_pb2.UnassignRoleRequest(user_id=person.id, role_id=role.id)

    async def results() -> list[tuple[bool, str]]:
        reply = await world.identity.CheckPermission(check, metadata=person.metadata)
        return [(result.allowed, result.role_code) for result in reply.results]

    assert await results() == [(False, ""), (False, "")]
    await world.identity.AssignRole(assign, metadata=administrator.metadata)
    assert await results() == [(True, role.code), (False, "")]
    mine = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=person.id), metadata=administrator.metadata)
    assert [held.code for held in mine.roles] == [role.code, "viewer"]
    await world.identity.UnassignRole(unassign, metadata=administrator.metadata)
    await world.identity.UnassignRole(unassign, metadata=administrator.metadata)
    assert await results() == [(False, ""), (False, "")]


async def test_a_role_that_denies_with_a_higher_priority_wins(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "users:read")
    role = await world.role(administrator, "users:read", priority=500, allow=False)
    await world.identity.AssignRole(
        role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id), metadata=administrator.metadata
    )

    refusal = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=person.metadata))

    assert refusal.reason == "PERMISSION_MISSING"


async def test_an_assignment_ends_when_it_was_said_to(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    role = await world.role(administrator, "call_logs:read")
    request = role_pb2.AssignRoleRequest(
        user_id=person.id, role_id=role.id, expire_time=datetime.now(UTC) + timedelta(hours=1)
    )
    await world.identity.AssignRole(request, metadata=administrator.metadata)
    check = permission_pb2.CheckPermissionRequest(permissions=["call_logs:read"])
    assert (await world.identity.CheckPermission(check, metadata=person.metadata)).results[0].allowed

    await admin.execute("UPDATE user_roles SET expires_at = now() - interval '1 second' WHERE role_id = $1", role.id)
    await admin.execute("SELECT pg_notify($1, $2)", CHANGED, f"{person.tenant_id}/{person.id}")

    async with asyncio.timeout(10):
        while (await world.identity.CheckPermission(check, metadata=person.metadata)).results[0].allowed:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not (await world.identity.CheckPermission(check, metadata=person.metadata)).results[0].allowed


async def test_nobody_gives_more_than_they_hold(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "roles:manage")
    strong = await world.role(administrator, "users:manage")
    mine = (
        await world.identity.CreateRole(role_pb2.CreateRoleRequest(name="Mine", code="mine"), metadata=person.metadata)
    ).role
    listed = await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=administrator.metadata)
    admin_role = next(role for role in listed.roles if role.code == "admin")
    attempts = [
        world.identity.AssignRole(
            role_pb2.AssignRoleRequest(user_id=person.id, role_id=strong.id), metadata=person.metadata
        ),
        world.identity.AssignRole(
            role_pb2.AssignRoleRequest(user_id=person.id, role_id=admin_role.id), metadata=person.metadata
        ),
        world.identity.SetRolePermissions(
            role_pb2.SetRolePermissionsRequest(
                role_id=mine.id, permissions=[role_pb2.RolePermission(permission="users:manage", effect=ALLOW)]
            ),
            metadata=person.metadata,
        ),
    ]

    for attempt in attempts:
        refusal = await refused(attempt)

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ESCALATION_REFUSED")
        assert "users:manage" in refusal.detail(error_details_pb2.ErrorInfo).metadata["permissions"]


async def test_a_system_role_cannot_be_changed(world: World) -> None:
    administrator = await world.tenant()
    listed = await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=administrator.metadata)
    assert {role.code for role in listed.roles if role.system} == {"admin", "editor", "viewer"}
    viewer = next(role for role in listed.roles if role.code == "viewer")
    for call in (
        world.identity.UpdateRole(
            role_pb2.UpdateRoleRequest(id=viewer.id, name="Mine"), metadata=administrator.metadata
        ),
        world.identity.SetRolePermissions(
            role_pb2.SetRolePermissionsRequest(role_id=viewer.id), metadata=administrator.metadata
        ),
    ):
        refusal = await refused(call)

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SYSTEM_ROLE_IMMUTABLE")


async def test_a_change_to_a_roles_entries_changes_its_etag_and_holds_at_once(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "call_logs:read")
    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=person.id), metadata=administrator.metadata)
    role = held.roles[0]
    entries = [role_pb2.RolePermission(permission="call_logs:read", effect=DENY)]
    request = role_pb2.SetRolePermissionsRequest(role_id=role.id, permissions=entries, etag=role.etag)

    new = (await world.identity.SetRolePermissions(request, metadata=administrator.metadata)).role

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata)
    stale = await refused(world.identity.SetRolePermissions(request, metadata=administrator.metadata))
    assert new.etag != role.etag
    assert list(new.permissions) == entries
    assert "call_logs:read" not in me.permissions
    assert stale.reason == "ETAG_MISMATCH"


async def test_another_users_permissions_are_for_those_who_may_read_roles(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    request = permission_pb2.CheckPermissionRequest(user_id=administrator.id, permissions=["users:read"])

    refusal = await refused(world.identity.CheckPermission(request, metadata=person.metadata))
    reply = await world.identity.CheckPermission(request, metadata=administrator.metadata)

    assert refusal.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "roles:read"
    assert (reply.results[0].allowed, reply.results[0].role_code) == (True, "admin")


async def test_what_is_remembered_of_another_user_is_forgotten_when_it_changes(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    role = await world.role(administrator, "call_logs:read")
    check = permission_pb2.CheckPermissionRequest(user_id=person.id, permissions=["call_logs:read"])

    async def allowed() -> bool:
        reply = await world.identity.CheckPermission(check, metadata=administrator.metadata)
        return bool(reply.results[0].allowed)

    assert [await allowed(), await allowed()] == [False, False]
    await world.identity.AssignRole(
        role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id), metadata=administrator.metadata
    )
    assert [await allowed(), await allowed()] == [True, True]
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=administrator.metadata)
    assert not await allowed()
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=administrator.metadata)
    assert (await refused(world.identity.CheckPermission(check, metadata=administrator.metadata))).reason == (
        "USER_NOT_FOUND"
    )


async def test_every_permission_is_listed_sorted(world: World) -> None:
    administrator = await world.tenant()

    reply = await world.identity.ListPermissions(
        permission_pb2.ListPermissionsRequest(), metadata=administrator.metadata
    )

    names = [permission.name for permission in reply.permissions]
    assert names == sorted(names)
    assert {"users:manage", "models:execute", "workflows:read"} < set(names)
