"""That the last administrator stays one, whatever is tried."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import role_pb2, user_pb2
from tests.factories.world import Person, World, refused

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


def _end(world: World, by: Person, user_id: str, role_id: str, how: str) -> Any:
    match how:
        case "delete":
            return world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user_id), metadata=by.metadata)
        case "lock":
            return world.identity.LockUser(user_pb2.LockUserRequest(id=user_id), metadata=by.metadata)
        case "deactivate":
            change = user_pb2.UpdateUserRequest(id=user_id, state=user_pb2.User.STATE_INACTIVE)
            return world.identity.UpdateUser(change, metadata=by.metadata)
        case "demote":
            request = role_pb2.UnassignRoleRequest(user_id=user_id, role_id=role_id)
            return world.identity.UnassignRole(request, metadata=by.metadata)
    expires = role_pb2.AssignRoleRequest(user_id=user_id, role_id=role_id, expire_time={"seconds": 4_102_444_800})
    return world.identity.AssignRole(expires, metadata=by.metadata)


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
