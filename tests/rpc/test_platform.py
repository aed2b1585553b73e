"""The platform's administrators inside a tenant."""

from __future__ import annotations

from typing import Any

from grpc import StatusCode as Code

from atrium.identity.v1 import api_key_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.world import Person, World, refused
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import MODEL
from tests.rpc.requests import GOOD


def _inside(platform: Person, tenant_id: str) -> tuple[tuple[str, str], ...]:
    return (*platform.metadata, ("x-tenant-id", tenant_id))


async def test_a_platform_administrator_acts_inside_a_tenant_as_its_own_would(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    metadata = _inside(platform, administrator.tenant_id)

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)
    made = await world.identity.CreateUser(
        user_pb2.CreateUserRequest(username="helped", email="helped@example.com"), metadata=metadata
    )
    role = await world.identity.CreateRole(role_pb2.CreateRoleRequest(name="r", code="r"), metadata=metadata)
    grant = role_pb2.SetRolePermissionsRequest(
        role_id=role.role.id, permissions=[{"permission": "users:read", "effect": role_pb2.EFFECT_ALLOW}]
    )
    await world.identity.SetRolePermissions(grant, metadata=metadata)
    await world.identity.AssignRole(
        role_pb2.AssignRoleRequest(user_id=made.user.id, role_id=role.role.id), metadata=metadata
    )

    assert (me.tenant_id, me.user_id, me.platform) == (administrator.tenant_id, platform.id, True)
    own = await world.identity.GetUser(user_pb2.GetUserRequest(id=made.user.id), metadata=administrator.metadata)
    assert own.user.username == "helped"
    granted = await admin.fetch("SELECT granted_by FROM user_roles WHERE user_id = $1", made.user.id)
    assert {row[0] for row in granted} == {None}


async def test_every_such_call_is_audited_with_both_identities(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()

    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=_inside(platform, administrator.tenant_id))

    rows = await admin.fetch(
        "SELECT tenant_id::text, user_id::text, acting_for::text FROM audit_logs WHERE action LIKE '%/ListUsers'"
    )
    assert [tuple(row) for row in rows] == [(administrator.tenant_id, platform.id, administrator.tenant_id)]


async def test_a_tenants_own_people_name_other_tenants_in_vain(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()

    for named in (other.tenant_id, SOME_ID, "", "not an id"):
        metadata = (*administrator.metadata, ("x-tenant-id", named))
        me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)
        assert me.tenant_id == administrator.tenant_id


async def test_a_tenant_that_cannot_be_acted_in_is_told_of(world: World) -> None:
    administrator, deleted, platform = await world.tenant(), await world.tenant(), await world.platform()
    by_id = {"id": administrator.tenant_id}
    await world.tenants.SuspendTenant(tenant_pb2.SuspendTenantRequest(**by_id), metadata=platform.metadata)
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=deleted.tenant_id), metadata=platform.metadata)

    answers = {}
    for named in (administrator.tenant_id, deleted.tenant_id, SOME_ID, "acme"):
        call = world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=_inside(platform, named))
        answers[named] = (await refused(call)).code

    assert answers == {
        administrator.tenant_id: Code.FAILED_PRECONDITION,
        deleted.tenant_id: Code.FAILED_PRECONDITION,
        SOME_ID: Code.NOT_FOUND,
        "acme": Code.INVALID_ARGUMENT,
    }


async def test_in_a_deleted_tenant_nothing_is_made_and_nothing_restored(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    user = await world.user(administrator)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=administrator.metadata)
    by = {"id": administrator.tenant_id}
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)
    inside = _inside(platform, administrator.tenant_id)
    restore = user_pb2.RestoreUserRequest(id=user.id)

    refusals = [
        await refused(world.identity.RestoreUser(restore, metadata=inside)),
        await refused(
            world.identity.CreateUser(user_pb2.CreateUserRequest(username="a", email="a@b.example"), metadata=inside)
        ),
    ]
    await world.tenants.RestoreTenant(tenant_pb2.RestoreTenantRequest(**by), metadata=platform.metadata)
    await world.identity.RestoreUser(restore, metadata=inside)

    assert [(each.code, each.reason) for each in refusals] == [(Code.FAILED_PRECONDITION, "TENANT_NOT_ACTIVE")] * 2


async def test_the_platforms_other_people_are_let_into_no_tenant_and_it_is_told_whom_they_tried(
    world: World, admin: Any
) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    reader = await world.user(platform, "users:read")
    robot = user_pb2.CreateUserRequest(username="robot", email="robot@example.com", kind=user_pb2.User.KIND_SERVICE)
    robot_id = (await world.identity.CreateUser(robot, metadata=platform.metadata)).user.id
    await world.give(platform, robot_id, "users:read")
    key = api_key_pb2.CreateApiKeyRequest(name="k", user_id=robot_id, scopes=["users:read"])
    secret = (await world.identity.CreateApiKey(key, metadata=platform.metadata)).secret

    refusals = [
        await refused(
            world.identity.ListUsers(
                user_pb2.ListUsersRequest(), metadata=(credential, ("x-tenant-id", administrator.tenant_id))
            )
        )
        for credential in (reader.metadata[0], ("x-api-key", secret))
    ]

    assert [(each.code, each.reason) for each in refusals] == [(Code.PERMISSION_DENIED, "PERMISSION_MISSING")] * 2
    assert await _kept_out(admin) == [
        (platform.tenant_id, reader.id, administrator.tenant_id, "PERMISSION_MISSING"),
        (platform.tenant_id, robot_id, administrator.tenant_id, "PERMISSION_MISSING"),
    ]


async def test_who_manages_tenants_is_let_in_with_what_else_they_hold(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    support = await world.user(platform, "tenants:manage", "users:read")
    metadata = _inside(support, administrator.tenant_id)

    listed = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=metadata)
    refusal = await refused(
        world.identity.CreateUser(user_pb2.CreateUserRequest(username="x", email="x@example.com"), metadata=metadata)
    )

    assert [user.username for user in listed.users] == ["admin"]
    assert refusal.reason == "PERMISSION_MISSING"


async def test_it_is_told_who_tried_a_tenant_that_cannot_be_acted_in(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    suspend = tenant_pb2.SuspendTenantRequest(id=administrator.tenant_id)
    await world.tenants.SuspendTenant(suspend, metadata=platform.metadata)

    for named in (administrator.tenant_id, SOME_ID):
        await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=_inside(platform, named)))

    assert await _kept_out(admin) == [
        (platform.tenant_id, platform.id, administrator.tenant_id, "TENANT_NOT_ACTIVE"),
        (platform.tenant_id, platform.id, SOME_ID, "TENANT_NOT_FOUND"),
    ]


async def _kept_out(admin: Any) -> list[tuple[str, ...]]:
    rows = await admin.fetch(
        "SELECT tenant_id::text, user_id::text, resource_id, error_message FROM audit_logs "
        "WHERE resource_type = 'tenant' AND action LIKE '%/ListUsers' AND status = 'failure' ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_a_call_that_the_tenants_tier_does_not_give_is_told_too(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(tenant_pb2.Tenant.TIER_FREE), await world.platform()
    path = MODEL + "CreateCredential"

    refusal = await refused(world.method(path)(GOOD[path], metadata=_inside(platform, administrator.tenant_id)))

    rows = await admin.fetch(
        "SELECT tenant_id::text, user_id::text, acting_for::text FROM audit_logs WHERE action = $1", path
    )
    assert refusal.reason == "FEATURE_MISSING"
    assert [tuple(row) for row in rows] == [(administrator.tenant_id, platform.id, administrator.tenant_id)]


async def test_a_platform_administrators_own_session_stays_their_own(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    metadata = _inside(platform, administrator.tenant_id)

    checked = await world.identity.CheckPermission(
        permission_pb2.CheckPermissionRequest(permissions=["tenants:manage"]), metadata=metadata
    )
    await world.identity.Logout(session_pb2.LogoutRequest(), metadata=metadata)

    assert checked.results[0].allowed
    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=platform.metadata))
    assert refusal.reason == "SESSION_REVOKED"
