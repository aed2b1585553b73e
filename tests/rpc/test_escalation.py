"""Nobody becomes more than they are: by what new users are given, by accounts of programs, by another's power."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
from tests.factories.api_keys import make_account
from tests.factories.world import PASSWORD, Person, World, refused


async def _default(world: World, by: Person, *permissions: str) -> Any:
    """A new role with these permissions, which every new user is given."""
    role = await world.role(by, *permissions)
    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=role.id, default=True), metadata=by.metadata)
    return role


async def test_nobody_has_new_users_given_what_they_do_not_hold(world: World) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "roles:manage", "users:manage")
    strong = await world.role(administrator, "tenants:manage")
    weak = await world.role(administrator, "roles:read")

    make_default = role_pb2.UpdateRoleRequest(id=strong.id, default=True)
    refusal = await refused(world.identity.UpdateRole(make_default, metadata=clerk.metadata))
    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=weak.id, default=True), metadata=clerk.metadata)

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "ESCALATION_REFUSED")


@pytest.mark.parametrize("password", [PASSWORD, None], ids=["with a password", "without one"])
async def test_nobody_makes_a_user_who_holds_more_than_they(world: World, password: str | None) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "users:manage")
    await _default(world, administrator, "tenants:manage")
    request = user_pb2.CreateUserRequest(username="new", email="new@example.com", password=password)

    refusal = await refused(world.identity.CreateUser(request, metadata=clerk.metadata))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "ESCALATION_REFUSED")
    await world.identity.CreateUser(request, metadata=administrator.metadata)


async def test_a_key_makes_users_and_does_not_choose_their_passwords(world: World) -> None:
    """Its scopes give less than the default roles do: with a password it would have all of those."""
    administrator = await world.tenant()
    key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:manage"])
    secret = (await world.identity.CreateApiKey(key, metadata=administrator.metadata)).secret
    metadata = (("x-api-key", secret),)
    request = user_pb2.CreateUserRequest(username="new", email="new@example.com", password=PASSWORD)

    refusal = await refused(world.identity.CreateUser(request, metadata=metadata))
    request.ClearField("password")
    await world.identity.CreateUser(request, metadata=metadata)

    assert refusal.reason == "ESCALATION_REFUSED"


async def test_who_may_not_change_another_is_told_what_they_lack_and_not_that_they_give_it(world: World) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "users:manage", "users:read")
    strong = await world.user(administrator, "users:manage", "users:read", "tenants:manage")

    for call in (
        world.identity.LockUser(user_pb2.LockUserRequest(id=strong.id), metadata=clerk.metadata),
        world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=strong.id), metadata=clerk.metadata),
    ):
        refusal = await refused(call)
        assert refusal.reason == "ESCALATION_REFUSED"
        assert "or change somebody who holds more" in refusal.message
        assert refusal.message.endswith("you do not hold tenants:manage, tenants:read, or not for as long.")


async def test_a_service_account_is_given_no_password(world: World) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(
        username="ci", email="ci@example.com", password=PASSWORD, kind=user_pb2.User.KIND_SERVICE
    )

    refusal = await refused(world.identity.CreateUser(request, metadata=administrator.metadata))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["password"])


@pytest.mark.parametrize("login", ["ci", "ci@example.com"])
async def test_a_service_account_that_has_a_password_does_not_sign_in(world: World, admin: Any, login: str) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    await admin.execute(
        "UPDATE users SET kind = 'service', username = 'ci', email = 'ci@example.com' WHERE id = $1", person.id
    )

    refusal = await refused(
        world.identity.Login(session_pb2.LoginRequest(tenant=administrator.tenant, login=login, password=PASSWORD))
    )
    unknown = await refused(
        world.identity.Login(session_pb2.LoginRequest(tenant=administrator.tenant, login="nobody", password=PASSWORD))
    )

    assert (refusal.code, refusal.reason) == (Code.UNAUTHENTICATED, "LOGIN_FAILED")
    assert (refusal.message, refusal.details) == (unknown.message, unknown.details)


@pytest.mark.parametrize("with_key", [False, True], ids=["with a role of their own", "with an administrator's key"])
async def test_only_super_administrators_purge(world: World, admin: Any, *, with_key: bool) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    user, role = await world.user(administrator), await world.role(administrator)
    if with_key:
        key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:manage", "roles:manage", "tenants:manage"])
        secret = (await world.identity.CreateApiKey(key, metadata=platform.metadata)).secret
        who: tuple[tuple[str, str], ...] = (("x-api-key", secret),)
    else:
        who = (await world.user(platform, "users:manage", "roles:manage", "tenants:manage")).metadata
    inside = (*who, ("x-tenant-id", administrator.tenant_id))
    delete_user, delete_role = user_pb2.DeleteUserRequest(id=user.id), role_pb2.DeleteRoleRequest(id=role.id)
    await world.identity.DeleteUser(delete_user, metadata=administrator.metadata)
    await world.identity.DeleteRole(delete_role, metadata=administrator.metadata)

    denials = [
        await refused(world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=user.id), metadata=inside)),
        await refused(world.identity.PurgeRole(role_pb2.PurgeRoleRequest(id=role.id), metadata=inside)),
    ]

    assert [(denial.code, denial.reason) for denial in denials] == [(Code.PERMISSION_DENIED, "SUPER_ADMIN_ONLY")] * 2
    assert await admin.fetchval("SELECT count(*) FROM users WHERE id = $1", user.id) == 1
    assert await admin.fetchval("SELECT count(*) FROM roles WHERE id = $1", role.id) == 1


async def test_a_tenants_own_role_of_that_name_makes_nobody_a_super_administrator(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute(
        "UPDATE roles SET code = 'super_admin' WHERE tenant_id = $1 AND code = 'admin'", administrator.tenant_id
    )
    user = await world.user(administrator)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=administrator.metadata)

    purge = user_pb2.PurgeUserRequest(id=user.id)
    refusal = await refused(world.identity.PurgeUser(purge, metadata=administrator.metadata))

    assert refusal.reason == "PLATFORM_ONLY"


async def test_a_key_is_another_than_whose_it_is(world: World) -> None:
    """With another address the code that sets a new password would come to whoever has the key."""
    administrator = await world.tenant()
    key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:manage"])
    metadata = (("x-api-key", (await world.identity.CreateApiKey(key, metadata=administrator.metadata)).secret),)

    calls = (
        world.identity.UpdateUser(
            user_pb2.UpdateUserRequest(id=administrator.id, email="other@example.com"), metadata=metadata
        ),
        world.identity.LockUser(user_pb2.LockUserRequest(id=administrator.id), metadata=metadata),
        world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=administrator.id), metadata=metadata),
    )

    assert [(await refused(call)).reason for call in calls] == ["ESCALATION_REFUSED"] * len(calls)


async def test_what_is_denied_for_a_time_or_deleted_with_a_role_is_held_nevertheless(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "users:manage")
    denied, stripped = await world.user(administrator, "roles:manage"), await world.user(administrator)
    denial = await world.role(administrator, "roles:manage", priority=1_000, allow=False)
    await _assign(world, administrator, denied, denial.id)
    lost = await world.role(administrator, "roles:manage")
    await _assign(world, administrator, stripped, lost.id)
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=lost.id), metadata=administrator.metadata)

    changes = [
        user_pb2.UpdateUserRequest(id=person.id, email=f"{person.username}@other.example")
        for person in (denied, stripped)
    ]
    refusals = [await refused(world.identity.UpdateUser(change, metadata=clerk.metadata)) for change in changes]

    assert [refusal.reason for refusal in refusals] == ["ESCALATION_REFUSED"] * 2


async def test_nobody_takes_with_a_denial_from_those_who_hold_more_whichever_way_it_comes_about(world: World) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "roles:manage")
    strong = await world.user(administrator, "roles:manage", "users:manage")
    empty = await world.role(clerk)
    await _assign(world, clerk, strong, empty.id)
    low = await world.role(administrator, "roles:manage", allow=False)
    await _assign(world, administrator, strong, low.id)
    gone = await world.role(administrator, "roles:manage", allow=False)
    await _assign(world, administrator, strong, gone.id)
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=gone.id), metadata=administrator.metadata)
    deny = role_pb2.RolePermission(permission="roles:manage", effect=role_pb2.EFFECT_DENY)
    denying = role_pb2.SetRolePermissionsRequest(role_id=empty.id, permissions=[deny])
    raising = role_pb2.UpdateRoleRequest(id=low.id, priority=1_000)
    restoring = role_pb2.RestoreRoleRequest(id=gone.id)

    def calls(by: Person) -> list[Any]:
        return [
            world.identity.SetRolePermissions(denying, metadata=by.metadata),
            world.identity.UpdateRole(raising, metadata=by.metadata),
            world.identity.RestoreRole(restoring, metadata=by.metadata),
        ]

    assert [(await refused(call)).reason for call in calls(clerk)] == ["ESCALATION_REFUSED"] * 3
    for call in calls(administrator):
        await call


_SOON, _LATER, _LATEST = ({"seconds": 4_102_444_800 + day * 86_400} for day in range(3))


async def test_nobody_gives_for_longer_than_they_hold(world: World) -> None:
    administrator = await world.tenant()
    other, deputy = await world.user(administrator), await world.user(administrator)
    role_id = await _role_id(world, administrator, "admin")
    await _assign(world, administrator, deputy, role_id, expire_time=_LATER)
    own = await world.role(administrator)
    await _assign(world, administrator, deputy, own.id)
    deleted = await world.role(administrator, "call_logs:read")
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=deleted.id), metadata=administrator.metadata)
    low = await world.role(administrator, "call_logs:read")
    says = role_pb2.RolePermission(permission="call_logs:read", effect=role_pb2.EFFECT_ALLOW)
    who = {"metadata": deputy.metadata}
    account = await make_account(world, administrator, "call_logs:read")
    key = api_key_pb2.CreateApiKeyRequest(name="k", user_id=account, scopes=["call_logs:read"])

    refusals = [
        await refused(call)
        for call in (
            _assigning(world, deputy, deputy, role_id),
            _assigning(world, deputy, deputy, role_id, expire_time=_LATEST),
            _assigning(world, deputy, other, role_id),
            world.identity.SetRolePermissions(
                role_pb2.SetRolePermissionsRequest(role_id=own.id, permissions=[says]), **who
            ),
            world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=low.id, priority=7), **who),
            world.identity.RestoreRole(role_pb2.RestoreRoleRequest(id=deleted.id), **who),
            world.identity.CreateApiKey(key, **who),
            world.identity.UpdateUser(
                user_pb2.UpdateUserRequest(id=administrator.id, email="deputy@else.example"), **who
            ),
        )
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.PERMISSION_DENIED, "ESCALATION_REFUSED")] * 8
    for end in (_LATER, _SOON):
        await _assign(world, deputy, deputy, role_id, expire_time=end)
    await _assign(world, deputy, other, role_id, expire_time=_SOON)
    key.expire_time.FromJsonString("2030-01-01T00:00:00Z")
    await world.identity.CreateApiKey(key, **who)
    await world.identity.UpdateUser(user_pb2.UpdateUserRequest(id=administrator.id, full_name="Ada"), **who)
    await world.identity.LockUser(user_pb2.LockUserRequest(id=other.id), **who)


async def test_what_is_held_for_good_beside_what_is_for_a_time_is_given_for_good(world: World) -> None:
    administrator = await world.tenant()
    other, clerk = await world.user(administrator), await world.user(administrator, "roles:manage", "call_logs:read")
    for_a_time = await world.role(administrator, "call_logs:read", priority=500)
    await _assign(world, administrator, clerk, for_a_time.id, expire_time=_SOON)
    role = await world.role(administrator, "call_logs:read")

    await _assign(world, clerk, other, role.id)


async def test_two_who_change_each_other_do_not_wait_for_one_another(world: World) -> None:
    founder = await world.tenant()
    administrators = await _role_id(world, founder, "admin")
    others = [await world.user(founder) for _ in range(2)]
    for other in others:
        await _assign(world, founder, other, administrators)

    for _ in range(10):
        role = await world.role(founder, "models:read", allow=False)
        await asyncio.gather(_assign(world, founder, others[0], role.id), _assign(world, others[0], founder, role.id))


async def _role_id(world: World, by: Person, code: str) -> str:
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=by.metadata)).roles
    return next(str(role.id) for role in roles if role.code == code)


def _assigning(world: World, by: Person, person: Person, role_id: str, **fields: Any) -> Any:
    request = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role_id, **fields)
    return world.identity.AssignRole(request, metadata=by.metadata)


async def _assign(world: World, by: Person, person: Person, role_id: str, **fields: Any) -> None:
    await _assigning(world, by, person, role_id, **fields)
