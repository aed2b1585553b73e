"""Nobody becomes more than they are: by what new users are given, by accounts of programs, by another's power."""

from __future__ import annotations

from typing import Any

import pytest
from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
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
