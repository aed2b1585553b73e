"""That somebody can always administer a tenant, and the platform."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.api_keys import make_key, with_key
from tests.factories.world import Person, World, refused

LATER = {"seconds": 4_102_444_800}


async def _role_id(world: World, by: Person, code: str) -> str:
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=by.metadata)).roles
    return next(str(role.id) for role in roles if role.code == code)


async def _assign(world: World, by: Person, user_id: str, role_id: str, **fields: Any) -> None:
    request = role_pb2.AssignRoleRequest(user_id=user_id, role_id=role_id, **fields)
    await world.identity.AssignRole(request, metadata=by.metadata)


@pytest.mark.parametrize("how", ["delete", "unassign", "expire", "lower", "empty"])
async def test_a_role_that_outweighs_a_denial_of_the_last_administrators_stays(world: World, how: str) -> None:
    administrator = await world.tenant()
    person, who = world.identity, {"metadata": administrator.metadata}
    allows = await world.role(administrator, "users:manage", priority=600)
    denies = await world.role(administrator, "users:manage", priority=500, allow=False)
    for role in (allows, denies):
        await _assign(world, administrator, administrator.id, role.id)
    by = {"user_id": administrator.id, "role_id": allows.id}
    call = {
        "delete": lambda: person.DeleteRole(role_pb2.DeleteRoleRequest(id=allows.id), **who),
        "unassign": lambda: person.UnassignRole(role_pb2.UnassignRoleRequest(**by), **who),
        "expire": lambda: person.AssignRole(role_pb2.AssignRoleRequest(**by, expire_time=LATER), **who),
        "lower": lambda: person.UpdateRole(role_pb2.UpdateRoleRequest(id=allows.id, priority=400), **who),
        "empty": lambda: person.SetRolePermissions(role_pb2.SetRolePermissionsRequest(role_id=allows.id), **who),
    }[how]

    refusal = await refused(call())

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")
    await person.ListUsers(user_pb2.ListUsersRequest(), **who)


async def test_the_last_administrator_is_not_denied_for_a_time_either(world: World) -> None:
    administrator = await world.tenant()
    denies = await world.role(administrator, "users:manage", priority=500, allow=False)
    request = role_pb2.AssignRoleRequest(user_id=administrator.id, role_id=denies.id, expire_time=LATER)

    refusal = await refused(world.identity.AssignRole(request, metadata=administrator.metadata))

    assert refusal.reason == "LAST_ADMINISTRATOR"


async def test_a_denial_that_outlives_what_outweighs_it_counts(world: World) -> None:
    administrator = await world.tenant()
    allows = await world.role(administrator, "users:manage", priority=600)
    denies = await world.role(administrator, "users:manage", priority=500, allow=False)
    await _assign(world, administrator, administrator.id, allows.id, expire_time={"seconds": LATER["seconds"] - 1})
    request = role_pb2.AssignRoleRequest(user_id=administrator.id, role_id=denies.id, expire_time=LATER)

    refusal = await refused(world.identity.AssignRole(request, metadata=administrator.metadata))

    assert refusal.reason == "LAST_ADMINISTRATOR"


async def test_a_service_account_does_not_count_as_an_administrator(world: World) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(username="robot", email="robot@example.com", kind=user_pb2.User.KIND_SERVICE)
    robot = (await world.identity.CreateUser(request, metadata=administrator.metadata)).user
    await _assign(world, administrator, robot.id, await _role_id(world, administrator, "admin"))

    refusal = await refused(
        world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=administrator.id), metadata=administrator.metadata)
    )

    assert refusal.reason == "LAST_ADMINISTRATOR"


@pytest.mark.parametrize("how", ["unassign", "expire", "lock", "deny"])
async def test_the_platform_keeps_a_super_administrator_whoever_else_administers_people(world: World, how: str) -> None:
    platform = await world.platform()
    other = await world.user(platform)
    await _assign(world, platform, other.id, await _role_id(world, platform, "admin"))
    person, who = world.identity, {"metadata": platform.metadata}
    by = {"user_id": platform.id, "role_id": await _role_id(world, platform, "super_admin")}
    denies = await world.role(platform, "tenants:manage", priority=1000, allow=False)
    call = {
        "unassign": lambda: person.UnassignRole(role_pb2.UnassignRoleRequest(**by), **who),
        "expire": lambda: person.AssignRole(role_pb2.AssignRoleRequest(**by, expire_time=LATER), **who),
        "lock": lambda: person.LockUser(user_pb2.LockUserRequest(id=platform.id), **who),
        "deny": lambda: person.AssignRole(role_pb2.AssignRoleRequest(user_id=platform.id, role_id=denies.id), **who),
    }[how]

    refusal = await refused(call())

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")


async def test_a_super_administrator_goes_when_there_is_another(world: World) -> None:
    platform = await world.platform()
    other = await world.user(platform)
    super_admin = await _role_id(world, platform, "super_admin")
    await _assign(world, platform, other.id, super_admin)

    request = role_pb2.UnassignRoleRequest(user_id=platform.id, role_id=super_admin)
    await world.identity.UnassignRole(request, metadata=platform.metadata)

    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=platform.id), metadata=other.metadata)
    assert "super_admin" not in [role.code for role in held.roles]


async def test_a_super_administrator_is_one_whatever_role_decides_what_they_may_do(world: World) -> None:
    platform, gone = await world.platform(), await world.tenant()
    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=platform.metadata)
    other = await world.user(platform)
    # Of the same priority and with a later code: it decides everything that the other says too.
    new = role_pb2.CreateRoleRequest(name="Over all", code="zz_over_all", priority=1000)
    over = (await world.identity.CreateRole(new, metadata=platform.metadata)).role
    entries = [role_pb2.RolePermission(permission=one, effect=role_pb2.EFFECT_ALLOW) for one in me.permissions]
    says = role_pb2.SetRolePermissionsRequest(role_id=over.id, permissions=entries)
    await world.identity.SetRolePermissions(says, metadata=platform.metadata)
    for user_id in (platform.id, other.id):
        await _assign(world, platform, user_id, over.id)
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=gone.tenant_id), metadata=platform.metadata)
    purge = tenant_pb2.PurgeTenantRequest(id=gone.tenant_id)

    refusal = await refused(world.tenants.PurgeTenant(purge, metadata=other.metadata))
    await world.tenants.PurgeTenant(purge, metadata=platform.metadata)

    assert refusal.reason == "SUPER_ADMIN_ONLY"


async def test_a_super_administrator_whose_time_is_over_is_none(world: World, admin: Any) -> None:
    platform, gone = await world.platform(), await world.tenant()
    other = await world.user(platform)
    role_id = await _role_id(world, platform, "super_admin")
    await _assign(world, platform, other.id, role_id, expire_time=LATER)
    await world.give(platform, other.id, "tenants:manage")
    await admin.execute(
        "UPDATE user_roles SET expires_at = now() WHERE user_id = $1 AND role_id = $2", other.id, role_id
    )

    refusal = await refused(
        world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(id=gone.tenant_id), metadata=other.metadata)
    )

    assert refusal.reason == "SUPER_ADMIN_ONLY"


async def test_a_program_is_no_super_administrator(world: World) -> None:
    platform = await world.platform()
    new = user_pb2.CreateUserRequest(username="robot", email="robot@example.com", kind=user_pb2.User.KIND_SERVICE)
    robot = (await world.identity.CreateUser(new, metadata=platform.metadata)).user

    refusal = await refused(_assign(world, platform, robot.id, await _role_id(world, platform, "super_admin")))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "ROLE_NOT_ASSIGNABLE")


async def _like_a_super_administrator(world: World, platform: Person, *, key: bool) -> tuple[tuple[str, str], ...]:
    """Who may do all that a super administrator may, and is none: by another role, or with a key of theirs."""
    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=platform.metadata)
    if key:
        return with_key((await make_key(world, platform, *me.permissions)).secret)
    return (await world.user(platform, *me.permissions)).metadata


@pytest.mark.parametrize("key", [False, True], ids=["another role", "a key"])
async def test_super_administrators_are_made_and_unmade_by_their_like_alone(world: World, *, key: bool) -> None:
    platform = await world.platform()
    person, other = await world.user(platform), await world.user(platform)
    role_id = await _role_id(world, platform, "super_admin")
    await _assign(world, platform, other.id, role_id)
    who = {"metadata": await _like_a_super_administrator(world, platform, key=key)}
    assign = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role_id)
    unassign = role_pb2.UnassignRoleRequest(user_id=other.id, role_id=role_id)

    refusals = [
        await refused(world.identity.AssignRole(assign, **who)),
        await refused(world.identity.UnassignRole(unassign, **who)),
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.PERMISSION_DENIED, "ESCALATION_REFUSED")] * 2
    await _assign(world, other, person.id, role_id)


@pytest.mark.parametrize("key", [False, True], ids=["another role", "a key"])
async def test_nobody_else_becomes_a_super_administrator_by_way_of_one(world: World, *, key: bool) -> None:
    """With another address the code that sets a new password would come to somebody else."""
    platform = await world.platform()
    other = await world.user(platform)
    await _assign(world, platform, other.id, await _role_id(world, platform, "super_admin"))
    denies = await world.role(platform, "call_logs:read", allow=False)
    empty = await world.role(platform)
    await _assign(world, platform, other.id, empty.id)
    who = {"metadata": await _like_a_super_administrator(world, platform, key=key)}
    moved = user_pb2.UpdateUserRequest(id=other.id, email="else@example.com")
    deny = role_pb2.RolePermission(permission="call_logs:read", effect=role_pb2.EFFECT_DENY)

    refusals = [
        await refused(call)
        for call in (
            world.identity.UpdateUser(moved, **who),
            world.identity.LockUser(user_pb2.LockUserRequest(id=other.id), **who),
            world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=other.id), **who),
            world.identity.AssignRole(role_pb2.AssignRoleRequest(user_id=other.id, role_id=denies.id), **who),
            world.identity.SetRolePermissions(
                role_pb2.SetRolePermissionsRequest(role_id=empty.id, permissions=[deny]), **who
            ),
        )
    ]

    assert [each.reason for each in refusals] == ["ESCALATION_REFUSED"] * len(refusals)
    await world.identity.UpdateUser(moved, metadata=platform.metadata)


async def test_where_nobody_administers_a_tenant_it_can_be_mended(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    denies = await world.role(administrator, "users:manage", priority=500, allow=False)
    await admin.execute(
        "INSERT INTO user_roles (tenant_id, user_id, role_id) VALUES ($1, $2, $3)",
        administrator.tenant_id,
        administrator.id,
        denies.id,
    )
    who = {"metadata": (*platform.metadata, ("x-tenant-id", administrator.tenant_id))}

    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=denies.id, name="In the way"), **who)
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=denies.id), **who)

    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)


@pytest.mark.parametrize("code", ["super_admin", "admin", "editor", "viewer"])
async def test_the_codes_of_system_roles_are_nobody_elses(world: World, code: str) -> None:
    administrator = await world.tenant()

    refusal = await refused(
        world.identity.CreateRole(role_pb2.CreateRoleRequest(name="Mine", code=code), metadata=administrator.metadata)
    )

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["code"])
