"""What roles give, to whom, and until when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.world import Person, World, refused


async def _held(world: World, by: Person, user_id: str) -> set[str]:
    reply = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=user_id), metadata=by.metadata)
    return {role.code for role in reply.roles}


async def test_a_role_is_given_to_new_users_as_long_as_it_is_a_default(world: World) -> None:
    administrator = await world.tenant()
    role = await world.role(administrator, "call_logs:read")
    who = {"metadata": administrator.metadata}

    before = await world.user(administrator)
    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=role.id, default=True), **who)
    meanwhile = await world.user(administrator)
    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=role.id, default=False), **who)
    after = await world.user(administrator)

    held = [await _held(world, administrator, person.id) for person in (before, meanwhile, after)]
    assert held == [{"viewer"}, {"viewer", role.code}, {"viewer"}]
    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=meanwhile.metadata)
    assert "call_logs:read" in me.permissions


async def test_an_assignment_ends_by_itself_and_nobody_has_to_tell(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    role = await world.role(administrator, "call_logs:read")
    ends = datetime.now(UTC) + timedelta(seconds=3)
    request = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id, expire_time=ends)
    await world.identity.AssignRole(request, metadata=administrator.metadata)
    check = permission_pb2.CheckPermissionRequest(permissions=["call_logs:read"])
    of_them = permission_pb2.CheckPermissionRequest(permissions=["call_logs:read"], user_id=person.id)

    async def allowed() -> set[bool]:
        own = await world.identity.CheckPermission(check, metadata=person.metadata)
        others = await world.identity.CheckPermission(of_them, metadata=administrator.metadata)
        return {own.results[0].allowed, others.results[0].allowed}

    before, asked = await allowed(), datetime.now(UTC)
    async with asyncio.timeout(30):
        while await allowed() != {False}:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    assert before == {True} or asked >= ends, "they had it until then"
    assert datetime.now(UTC) >= ends, "and no shorter"


async def test_a_denial_names_the_role_that_it_comes_from(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "call_logs:read")
    denies = await world.role(administrator, "call_logs:read", priority=500, allow=False)
    assign = role_pb2.AssignRoleRequest(user_id=person.id, role_id=denies.id)
    await world.identity.AssignRole(assign, metadata=administrator.metadata)
    check = {"permissions": ["call_logs:read"]}

    own = await world.identity.CheckPermission(permission_pb2.CheckPermissionRequest(**check), metadata=person.metadata)
    others = await world.identity.CheckPermission(
        permission_pb2.CheckPermissionRequest(**check, user_id=person.id), metadata=administrator.metadata
    )

    assert [(result.allowed, result.role_code) for result in (own.results[0], others.results[0])] == [
        (False, denies.code)
    ] * 2


@pytest.mark.parametrize("how", ["locked", "inactive"])
async def test_who_cannot_sign_in_is_allowed_nothing_and_it_is_said_why(world: World, how: str) -> None:
    administrator = await world.tenant()
    person, who = await world.user(administrator, "call_logs:read"), {"metadata": administrator.metadata}
    check = permission_pb2.CheckPermissionRequest(user_id=person.id, permissions=["call_logs:read"])
    before = await world.identity.CheckPermission(check, **who)
    if how == "locked":
        await world.identity.LockUser(user_pb2.LockUserRequest(id=person.id), **who)
    else:
        change = user_pb2.UpdateUserRequest(id=person.id, state=user_pb2.User.STATE_INACTIVE)
        await world.identity.UpdateUser(change, **who)

    after = await world.identity.CheckPermission(check, **who)

    expected = {"locked": user_pb2.User.STATE_LOCKED, "inactive": user_pb2.User.STATE_INACTIVE}[how]
    assert (before.user_state, before.results[0].allowed) == (user_pb2.User.STATE_ACTIVE, True)
    assert (after.user_state, after.results[0].allowed, after.results[0].role_code) == (expected, False, "")


async def test_a_permission_that_only_a_newer_version_knows_means_nothing(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute("INSERT INTO permissions (resource, action, description) VALUES ('moons', 'read', 'See them')")
    await admin.execute(
        "INSERT INTO role_permissions (tenant_id, role_id, permission_id) SELECT r.tenant_id, r.id, p.id "
        "FROM roles r, permissions p WHERE r.code = 'admin' AND p.resource = 'moons'"
    )
    person = await world.sign_in(administrator.tenant, "admin")
    other = await world.user(administrator)
    who = {"metadata": person.metadata}

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), **who)
    roles = await world.identity.ListRoles(role_pb2.ListRolesRequest(), **who)
    permissions = await world.identity.ListPermissions(permission_pb2.ListPermissionsRequest(), **who)
    check = permission_pb2.CheckPermissionRequest(user_id=person.id, permissions=["users:read"])
    reader = next(role.id for role in roles.roles if role.code == "admin")
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(user_id=other.id, role_id=reader), **who)
    checked = await world.identity.CheckPermission(check, metadata=other.metadata)

    entries = {entry.permission for role in roles.roles for entry in role.permissions}
    named = {permission.name for permission in permissions.permissions}
    assert "users:manage" in me.permissions
    assert checked.results[0].allowed
    assert "moons:read" not in {*me.permissions, *entries, *named}


async def test_nothing_is_deleted_by_a_stale_etag(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    user, role = await world.user(administrator), await world.role(administrator)
    found = (await world.identity.GetUser(user_pb2.GetUserRequest(id=user.id), metadata=administrator.metadata)).user
    company = (await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), metadata=administrator.metadata)).tenant
    change = user_pb2.UpdateUserRequest(id=user.id, full_name="Changed")
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    rename = role_pb2.UpdateRoleRequest(id=role.id, name="Changed")
    await world.identity.UpdateRole(rename, metadata=administrator.metadata)
    await world.tenants.UpdateTenant(tenant_pb2.UpdateTenantRequest(name="Changed"), metadata=administrator.metadata)

    refusals = [
        await refused(call)
        for call in (
            world.identity.DeleteUser(
                user_pb2.DeleteUserRequest(id=user.id, etag=found.etag), metadata=administrator.metadata
            ),
            world.identity.DeleteRole(
                role_pb2.DeleteRoleRequest(id=role.id, etag=role.etag), metadata=administrator.metadata
            ),
            world.tenants.DeleteTenant(
                tenant_pb2.DeleteTenantRequest(id=company.id, etag=company.etag), metadata=platform.metadata
            ),
        )
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.ABORTED, "ETAG_MISMATCH")] * 3
    await world.identity.GetUser(user_pb2.GetUserRequest(id=user.id), metadata=administrator.metadata)
    await world.identity.GetRole(role_pb2.GetRoleRequest(id=role.id), metadata=administrator.metadata)
