"""That the last administrator stays one, whatever is tried."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import role_pb2, user_pb2
from atrium.tenant.v1 import tenant_config_pb2
from tests.databases import WAITING, Scratch
from tests.factories.world import PASSWORD, Person, World, refused

NOT_FOR_EVER = 20.0
INCLUDE, ONLY = deleted_pb2.DELETED_INCLUDE, deleted_pb2.DELETED_ONLY


@pytest.mark.parametrize("end", ["delete", "lock", "deactivate", "demote", "expire"])
async def test_the_last_administrator_stays(world: World, end: str) -> None:
    administrator = await world.tenant()
    deputy = await world.user(administrator)
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=administrator.metadata)).roles
    admin_role = next(role for role in roles if role.code == "admin")
    soon = {"seconds": 4_102_444_800}
    request = role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=admin_role.id, expire_time=soon)
    await world.identity.AssignRole(request, metadata=administrator.metadata)

    refusal = await refused(_end(world, administrator, administrator.id, admin_role.id, end))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")


@pytest.mark.parametrize("how", ["assign", "set", "raise", "restore"])
async def test_nor_is_the_last_administrator_denied_what_it_takes(world: World, how: str) -> None:
    administrator = await world.tenant()
    person, who = world.identity, {"metadata": administrator.metadata}
    role = await world.role(administrator, "users:manage", priority=0 if how == "raise" else 500, allow=False)
    assign = role_pb2.AssignRoleRequest(user_id=administrator.id, role_id=role.id)
    if how == "set":
        await person.SetRolePermissions(role_pb2.SetRolePermissionsRequest(role_id=role.id), **who)
        await person.AssignRole(assign, **who)
    elif how == "raise":
        await person.AssignRole(assign, **who)
    elif how == "restore":
        deputy = await world.user(administrator)
        roles = (await person.ListRoles(role_pb2.ListRolesRequest(), **who)).roles
        admin_role = next(role.id for role in roles if role.code == "admin")
        await person.AssignRole(role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=admin_role), **who)
        await person.AssignRole(assign, **who)
        await person.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=deputy.metadata)
        await person.UnassignRole(role_pb2.UnassignRoleRequest(user_id=deputy.id, role_id=admin_role), **who)
    entry = role_pb2.RolePermission(permission="users:manage", effect=role_pb2.EFFECT_DENY)
    call = {
        "assign": lambda: person.AssignRole(assign, **who),
        "set": lambda: person.SetRolePermissions(
            role_pb2.SetRolePermissionsRequest(role_id=role.id, permissions=[entry]), **who
        ),
        "raise": lambda: person.UpdateRole(role_pb2.UpdateRoleRequest(id=role.id, priority=500), **who),
        "restore": lambda: person.RestoreRole(role_pb2.RestoreRoleRequest(id=role.id), **who),
    }[how]

    refusal = await refused(call())

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")
    await person.ListUsers(user_pb2.ListUsersRequest(), **who)


async def test_an_administrator_who_is_denied_it_does_not_count_as_another(world: World) -> None:
    administrator = await world.tenant()
    person, who = world.identity, {"metadata": administrator.metadata}
    deputy = await world.user(administrator)
    roles = (await person.ListRoles(role_pb2.ListRolesRequest(), **who)).roles
    admin_role = next(role.id for role in roles if role.code == "admin")
    await person.AssignRole(role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=admin_role), **who)
    role = await world.role(administrator, "users:manage", priority=500, allow=False)
    await person.AssignRole(role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=role.id), **who)

    refusal = await refused(_end(world, administrator, administrator.id, admin_role, "delete"))

    assert refusal.reason == "LAST_ADMINISTRATOR"


async def _of_verified_people(world: World, admin: Any) -> tuple[Person, Person, str]:
    """A tenant that asks for verified addresses: the one administrator who has one, another who has none, the role."""
    administrator = await world.tenant()
    person, who = world.identity, {"metadata": administrator.metadata}
    deputy = await world.user(administrator)
    roles = (await person.ListRoles(role_pb2.ListRolesRequest(), **who)).roles
    admin_role = next(role.id for role in roles if role.code == "admin")
    await person.AssignRole(role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=admin_role), **who)
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", administrator.id)
    require = tenant_config_pb2.UpdateTenantConfigRequest(require_verified_email=True)
    await world.tenants.UpdateTenantConfig(require, **who)
    return administrator, deputy, admin_role


@pytest.mark.parametrize("end", ["delete", "lock", "deactivate", "demote", "expire", "move"])
async def test_an_administrator_who_must_verify_their_address_does_not_count_as_another(
    world: World, admin: Any, end: str
) -> None:
    administrator, deputy, role_id = await _of_verified_people(world, admin)

    refusal = await refused(_end(world, administrator, administrator.id, role_id, end))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")
    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", deputy.id)
    await _end(world, administrator, administrator.id, role_id, end)


async def test_whoever_may_change_settings_alone_does_not_shut_every_administrator_out(
    world: World, admin: Any
) -> None:
    administrator = await world.tenant()
    manager = await world.user(administrator, "tenants:manage")
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", manager.id)
    require = tenant_config_pb2.UpdateTenantConfigRequest(require_verified_email=True)

    refusal = await refused(world.tenants.UpdateTenantConfig(require, metadata=manager.metadata))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")
    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", administrator.id)
    await world.tenants.UpdateTenantConfig(require, metadata=manager.metadata)


@pytest.mark.parametrize("end", ["lock", "demote", "move"])
async def test_of_asking_for_verified_addresses_and_ending_the_one_administrator_who_has_one_one_is_done(
    world: World, scratch: Scratch, admin: Any, end: str
) -> None:
    administrator = await world.tenant()
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=administrator.metadata)).roles
    role_id = next(role.id for role in roles if role.code == "admin")
    verified, manager = await world.user(administrator), await world.user(administrator, "tenants:manage")
    request = role_pb2.AssignRoleRequest(user_id=verified.id, role_id=role_id)
    await world.identity.AssignRole(request, metadata=administrator.metadata)
    await admin.execute("UPDATE users SET email_verified = id <> $1", administrator.id)
    require = tenant_config_pb2.UpdateTenantConfigRequest(require_verified_email=True)

    async with scratch.connect() as holder, holder.transaction():
        await holder.execute("LOCK TABLE audit_logs IN SHARE MODE")
        calls = [
            world.tenants.UpdateTenantConfig(require, metadata=manager.metadata),
            _end(world, administrator, verified.id, role_id, end),
        ]
        # Until neither can be done before the other has begun.
        async with asyncio.timeout(NOT_FOR_EVER):
            while await admin.fetchval(WAITING) < len(calls):  # noqa: ASYNC110 - it waits for the database
                await asyncio.sleep(0.01)
    codes = sorted([(await call.code()).name for call in calls])

    assert codes == ["FAILED_PRECONDITION", "OK"]


async def test_where_nobody_has_verified_their_address_the_last_administrator_stays_and_their_address_is_mended(
    world: World,
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    require = tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=administrator.tenant_id, require_verified_email=True
    )
    await world.tenants.UpdateTenantConfig(require, metadata=platform.metadata)
    inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=inside)).roles
    admin_role = next(role.id for role in roles if role.code == "admin")

    refusals = [
        await refused(_end(world, platform, administrator.id, admin_role, end, inside))
        for end in ("delete", "lock", "demote")
    ]
    await _end(world, platform, administrator.id, admin_role, "move", inside)

    assert [refusal.reason for refusal in refusals] == ["LAST_ADMINISTRATOR"] * 3


@pytest.mark.parametrize("end", ["delete", "lock", "deactivate", "demote", "expire"])
@pytest.mark.parametrize("verified", [False, True])
async def test_an_administrator_who_has_no_password_does_not_count_as_another(
    world: World, admin: Any, end: str, verified: bool
) -> None:
    administrator = await world.tenant()
    person, who = world.identity, {"metadata": administrator.metadata}
    invited = user_pb2.CreateUserRequest(username="invited", email="invited@example.com")
    deputy = (await person.CreateUser(invited, **who)).user
    roles = (await person.ListRoles(role_pb2.ListRolesRequest(), **who)).roles
    role_id = next(role.id for role in roles if role.code == "admin")
    await person.AssignRole(role_pb2.AssignRoleRequest(user_id=deputy.id, role_id=role_id), **who)
    if verified:
        await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", deputy.id)

    refusal = await refused(_end(world, administrator, administrator.id, role_id, end))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMINISTRATOR")
    await _end(world, administrator, deputy.id, role_id, end)


async def test_where_nobody_has_a_password_yet_the_administrator_stays_and_nothing_else_is_kept_from_happening(
    world: World, admin: Any
) -> None:
    invited, platform, person = await world.tenant(), await world.platform(), world.identity
    await admin.execute("UPDATE users SET password_hash = NULL WHERE id = $1", invited.id)
    inside = (*platform.metadata, ("x-tenant-id", invited.tenant_id))
    roles = (await person.ListRoles(role_pb2.ListRolesRequest(), metadata=inside)).roles
    role_id = next(role.id for role in roles if role.code == "admin")

    refusals = [
        await refused(_end(world, platform, invited.id, role_id, end, inside)) for end in ("delete", "lock", "demote")
    ]
    await _end(world, platform, invited.id, role_id, "move", inside)
    other = user_pb2.CreateUserRequest(username="other", email="other@example.com", password=PASSWORD)
    other_id = (await person.CreateUser(other, metadata=inside)).user.id
    await person.AssignRole(role_pb2.AssignRoleRequest(user_id=other_id, role_id=role_id), metadata=inside)
    await _end(world, platform, invited.id, role_id, "delete", inside)

    assert [refusal.reason for refusal in refusals] == ["LAST_ADMINISTRATOR"] * 3
    assert (await refused(_end(world, platform, other_id, role_id, "lock", inside))).reason == "LAST_ADMINISTRATOR"


async def test_nobody_denies_what_they_do_not_hold_nor_to_those_who_hold_more(world: World) -> None:
    administrator = await world.tenant()
    person = world.identity
    manager = await world.user(administrator, "roles:manage", "users:read")
    role = await world.role(administrator, "users:read", priority=500, allow=False)
    entry = role_pb2.RolePermission(permission="users:manage", effect=role_pb2.EFFECT_DENY)

    denying = role_pb2.SetRolePermissionsRequest(role_id=role.id, permissions=[entry])
    assigning = role_pb2.AssignRoleRequest(user_id=administrator.id, role_id=role.id)
    for call in (
        person.SetRolePermissions(denying, metadata=manager.metadata),
        person.AssignRole(assigning, metadata=manager.metadata),
    ):
        assert (await refused(call)).reason == "ESCALATION_REFUSED"


def _end(world: World, by: Person, user_id: str, role_id: str, how: str, metadata: Any = None) -> Any:
    """`metadata`: of a call of theirs that is not in their own tenant."""
    who = {"metadata": metadata or by.metadata}
    match how:
        case "delete":
            return world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user_id), **who)
        case "lock":
            return world.identity.LockUser(user_pb2.LockUserRequest(id=user_id), **who)
        case "deactivate":
            change = user_pb2.UpdateUserRequest(id=user_id, state=user_pb2.User.STATE_INACTIVE)
            return world.identity.UpdateUser(change, **who)
        case "move":
            change = user_pb2.UpdateUserRequest(id=user_id, email="moved@example.com")
            return world.identity.UpdateUser(change, **who)
        case "demote":
            request = role_pb2.UnassignRoleRequest(user_id=user_id, role_id=role_id)
            return world.identity.UnassignRole(request, **who)
    expires = role_pb2.AssignRoleRequest(user_id=user_id, role_id=role_id, expire_time={"seconds": 4_102_444_800})
    return world.identity.AssignRole(expires, **who)


async def test_of_two_administrators_who_end_each_other_at_once_one_stays(world: World) -> None:
    for first_end, second_end in (("delete", "demote"), ("lock", "delete"), ("expire", "lock")):
        first = await world.tenant()
        roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=first.metadata)).roles
        role_id = next(role.id for role in roles if role.code == "admin")
        second = await world.user(first)
        request = role_pb2.AssignRoleRequest(user_id=second.id, role_id=role_id)
        await world.identity.AssignRole(request, metadata=first.metadata)

        calls = [
            _end(world, first, second.id, role_id, first_end),
            _end(world, second, first.id, role_id, second_end),
        ]
        codes = sorted([(await call.code()).name for call in calls])

        assert codes.count("OK") == 1, (first_end, second_end)
