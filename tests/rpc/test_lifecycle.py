"""Deleting, restoring and purging: hidden everywhere, brought back whole, gone for good."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.common.v1 import deleted_pb2
from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from tests.factories.world import Person, World, refused
from tests.migration.rows import fill_tenant
from tests.rpc.changes.rows import rows_of

INCLUDE, ONLY = deleted_pb2.DELETED_INCLUDE, deleted_pb2.DELETED_ONLY


async def _delete_user(world: World, by: Person, user_id: str) -> None:
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user_id), metadata=by.metadata)


async def test_a_deleted_user_is_hidden_everywhere_and_refused(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)

    await _delete_user(world, administrator, user.id)

    listed = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)
    get = await refused(world.identity.GetUser(user_pb2.GetUserRequest(id=user.id), metadata=administrator.metadata))
    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata))
    login = await refused(
        world.identity.Login(
            session_pb2.LoginRequest(tenant=user.tenant, login=user.username, password="correct horse battery")
        )
    )
    again = await refused(
        world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=administrator.metadata)
    )
    assert user.id not in [found.id for found in listed.users]
    assert (get.code, again.code) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)
    assert (access.reason, login.reason) == ("SESSION_REVOKED", "LOGIN_FAILED")


async def test_a_restored_user_is_as_they_were(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator, "call_logs:read")
    key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:read"])
    secret = (await world.identity.CreateApiKey(key, metadata=user.metadata)).secret
    before = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata)
    await _delete_user(world, administrator, user.id)
    with pytest.raises(grpc.aio.AioRpcError):
        await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", secret),))

    await world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=user.id), metadata=administrator.metadata)

    assert await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata) == before
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", secret),))
    await world.sign_in(user.tenant, user.username)


async def test_a_freed_name_can_be_taken_and_then_stands_in_the_way(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    await _delete_user(world, administrator, user.id)
    twin = user_pb2.CreateUserRequest(username=user.username.upper(), email="else@example.com")
    await world.identity.CreateUser(twin, metadata=administrator.metadata)

    refusal = await refused(
        world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=user.id), metadata=administrator.metadata)
    )

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "USERNAME_TAKEN")


async def test_what_was_deleted_is_shown_to_whoever_may_see_it_alone(world: World) -> None:
    administrator = await world.tenant()
    user, reader = await world.user(administrator), await world.user(administrator, "users:read")
    await _delete_user(world, administrator, user.id)

    only = await world.identity.ListUsers(user_pb2.ListUsersRequest(deleted=ONLY), metadata=administrator.metadata)
    both = await world.identity.ListUsers(user_pb2.ListUsersRequest(deleted=INCLUDE), metadata=administrator.metadata)
    get = user_pb2.GetUserRequest(id=user.id, deleted=INCLUDE)
    found = (await world.identity.GetUser(get, metadata=administrator.metadata)).user
    denials = [
        await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(deleted=ONLY), metadata=reader.metadata)),
        await refused(world.identity.GetUser(get, metadata=reader.metadata)),
        await refused(world.identity.ListRoles(role_pb2.ListRolesRequest(deleted=ONLY), metadata=reader.metadata)),
    ]

    assert [each.id for each in only.users] == [user.id]
    assert {user.id, reader.id, administrator.id} <= {each.id for each in both.users}
    assert found.HasField("delete_time")
    assert [denial.code for denial in denials] == [grpc.StatusCode.PERMISSION_DENIED] * 3
    assert denials[0].detail(error_details_pb2.ErrorInfo).metadata["permission"] == "deleted:read"


async def test_only_the_platform_purges_and_only_what_is_deleted(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    giver = await world.user(administrator, "roles:manage")
    role = await world.role(administrator)
    gets = role_pb2.AssignRoleRequest(user_id=administrator.id, role_id=role.id)
    await world.identity.AssignRole(gets, metadata=giver.metadata)
    inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
    purge = user_pb2.PurgeUserRequest(id=giver.id)

    own = await refused(world.identity.PurgeUser(purge, metadata=administrator.metadata))
    live = await refused(world.identity.PurgeUser(purge, metadata=inside))
    await _delete_user(world, administrator, giver.id)
    await world.identity.PurgeUser(purge, metadata=inside)

    assert (own.reason, live.reason) == ("PLATFORM_ONLY", "NOT_DELETED")
    assert await admin.fetchval("SELECT count(*) FROM users WHERE id = $1", giver.id) == 0
    held = await world.identity.ListRoles(
        role_pb2.ListRolesRequest(user_id=administrator.id), metadata=administrator.metadata
    )
    assert role.id in [each.id for each in held.roles]


async def test_a_role_is_read_deleted_and_purged_with_all_that_it_granted(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    user = await world.nobody(administrator)
    role = await world.role(administrator, "users:read")
    await world.identity.AssignRole(
        role_pb2.AssignRoleRequest(user_id=user.id, role_id=role.id), metadata=administrator.metadata
    )
    inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))
    purge = role_pb2.PurgeRoleRequest(id=role.id)

    found = await world.identity.GetRole(role_pb2.GetRoleRequest(id=role.id), metadata=administrator.metadata)
    live = await refused(world.identity.PurgeRole(purge, metadata=inside))
    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=administrator.metadata)
    await world.identity.PurgeRole(purge, metadata=inside)

    assert (found.role.code, [each.permission for each in found.role.permissions]) == (role.code, ["users:read"])
    assert live.reason == "NOT_DELETED"
    for table, column in (("roles", "id"), ("user_roles", "role_id"), ("role_permissions", "role_id")):
        assert await admin.fetchval(f"SELECT count(*) FROM {table} WHERE {column} = $1", role.id) == 0
    restored = role_pb2.RestoreRoleRequest(id=role.id)
    gone = await refused(world.identity.RestoreRole(restored, metadata=administrator.metadata))
    assert gone.code is grpc.StatusCode.NOT_FOUND


async def test_a_deleted_role_grants_nothing_at_once_and_everything_again_when_restored(world: World) -> None:
    administrator = await world.tenant()
    user = await world.nobody(administrator)
    role = await world.role(administrator, "users:read")
    assign = role_pb2.AssignRoleRequest(user_id=user.id, role_id=role.id)
    await world.identity.AssignRole(assign, metadata=administrator.metadata)
    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=user.metadata)

    await world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=administrator.metadata)
    denied = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=user.metadata))
    used = await refused(world.identity.AssignRole(assign, metadata=administrator.metadata))
    await world.identity.RestoreRole(role_pb2.RestoreRoleRequest(id=role.id), metadata=administrator.metadata)

    await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=user.metadata)
    assert denied.code is grpc.StatusCode.PERMISSION_DENIED
    assert (used.code, used.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ROLE_DELETED")


async def test_a_deleted_user_is_given_nothing(world: World) -> None:
    administrator = await world.tenant()
    user, role = await world.user(administrator), await world.role(administrator)
    await _delete_user(world, administrator, user.id)

    refusal = await refused(
        world.identity.AssignRole(
            role_pb2.AssignRoleRequest(user_id=user.id, role_id=role.id), metadata=administrator.metadata
        )
    )

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "USER_DELETED")


async def test_a_system_role_is_not_deleted(world: World) -> None:
    administrator = await world.tenant()
    roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(), metadata=administrator.metadata)).roles

    for role in roles:
        refusal = await refused(
            world.identity.DeleteRole(role_pb2.DeleteRoleRequest(id=role.id), metadata=administrator.metadata)
        )
        assert refusal.reason == "SYSTEM_ROLE_IMMUTABLE"


@pytest.mark.parametrize("gone", ["suspended", "deleted"])
async def test_a_tenant_that_is_not_active_is_refused_and_all_of_it_comes_back(world: World, gone: str) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    tenant_id = administrator.tenant_id
    key = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["users:read"])
    secret = (await world.identity.CreateApiKey(key, metadata=administrator.metadata)).secret
    refresh = session_pb2.RefreshTokenRequest(refresh_token=administrator.tokens.refresh_token)
    login = session_pb2.LoginRequest(tenant=administrator.tenant, login="admin", password="correct horse battery")

    if gone == "deleted":
        await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=tenant_id), metadata=platform.metadata)
    else:
        await world.tenants.SuspendTenant(tenant_pb2.SuspendTenantRequest(id=tenant_id), metadata=platform.metadata)
    refusals = [
        await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)),
        await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", secret),))),
        await refused(world.identity.RefreshToken(refresh)),
        await refused(world.identity.Login(login)),
    ]
    if gone == "deleted":
        restored = await world.tenants.RestoreTenant(
            tenant_pb2.RestoreTenantRequest(id=tenant_id), metadata=platform.metadata
        )
    else:
        restored = await world.tenants.ActivateTenant(
            tenant_pb2.ActivateTenantRequest(id=tenant_id), metadata=platform.metadata
        )

    assert {refusal.code for refusal in refusals} == {grpc.StatusCode.UNAUTHENTICATED}
    assert restored.tenant.state == tenant_pb2.Tenant.STATE_ACTIVE
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=(("x-api-key", secret),))
    await world.identity.RefreshToken(refresh)
    await world.identity.Login(login)


async def test_a_suspended_tenant_that_was_deleted_comes_back_suspended(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    by = {"id": administrator.tenant_id}
    await world.tenants.SuspendTenant(tenant_pb2.SuspendTenantRequest(**by), metadata=platform.metadata)
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)
    hidden = await refused(world.tenants.GetTenant(tenant_pb2.GetTenantRequest(**by), metadata=platform.metadata))
    shown = await world.tenants.GetTenant(
        tenant_pb2.GetTenantRequest(**by, deleted=INCLUDE), metadata=platform.metadata
    )
    listed = await world.tenants.ListTenants(tenant_pb2.ListTenantsRequest(deleted=ONLY), metadata=platform.metadata)

    restored = await world.tenants.RestoreTenant(tenant_pb2.RestoreTenantRequest(**by), metadata=platform.metadata)

    assert hidden.reason == "TENANT_NOT_FOUND"
    assert shown.tenant.state == tenant_pb2.Tenant.STATE_DELETED
    assert [each.id for each in listed.tenants] == [administrator.tenant_id]
    assert restored.tenant.state == tenant_pb2.Tenant.STATE_SUSPENDED


async def test_a_deleted_tenants_slug_stays_taken_until_it_is_purged(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    who = tenant_pb2.CreateTenantRequest.Administrator(
        username="a", email="a@b.example", password="correct horse battery"
    )
    twin = tenant_pb2.CreateTenantRequest(slug=administrator.tenant, name="Twin", administrator=who)
    by = {"id": administrator.tenant_id}
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)

    taken = await refused(world.tenants.CreateTenant(twin, metadata=platform.metadata))
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata)

    assert taken.reason == "SLUG_TAKEN"
    await world.tenants.CreateTenant(twin, metadata=platform.metadata)


async def test_who_is_refused_by_a_tenant_that_is_not_active_is_forgotten_with_it(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    by = {"id": administrator.tenant_id}

    async def tried(login: str, tenant: str = administrator.tenant) -> None:
        request = session_pb2.LoginRequest(tenant=tenant, login=login, password="correct horse battery")
        assert (await refused(world.identity.Login(request))).reason == "LOGIN_FAILED"

    await world.tenants.SuspendTenant(tenant_pb2.SuspendTenantRequest(**by), metadata=platform.metadata)
    await tried("admin@of-suspended.example")
    await world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(**by), metadata=platform.metadata)
    await tried("admin@of-deleted.example")
    await tried("admin@of-nobody.example", "nowhere")

    told = await admin.fetch(
        "SELECT tenant_id::text, details->>'login' FROM audit_logs WHERE action = 'sessions.login' "
        "AND status = 'failure' ORDER BY id"
    )
    assert [tuple(row) for row in told] == [
        (administrator.tenant_id, "admin@of-suspended.example"),
        (administrator.tenant_id, "admin@of-deleted.example"),
        (platform.tenant_id, "admin@of-nobody.example"),
    ]
    await world.tenants.PurgeTenant(tenant_pb2.PurgeTenantRequest(**by), metadata=platform.metadata)
    left = str(await rows_of(admin))
    assert "of-nobody" in left
    assert "of-suspended" not in left
    assert "of-deleted" not in left


async def test_a_purged_tenant_leaves_no_row_in_any_table(world: World, admin: Any) -> None:
    administrator, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    for who in (administrator, other):
        tables = await fill_tenant(admin, who.tenant_id)
        await _put_aside(admin, who.tenant_id)
    before = await _rows_of(admin, other.tenant_id)
    contact = "ada@contact.example"
    update = tenant_pb2.UpdateTenantRequest(contact_email=contact)
    await world.tenants.UpdateTenant(update, metadata=administrator.metadata)
    assert contact in str(await rows_of(admin))
    purge = tenant_pb2.PurgeTenantRequest(id=administrator.tenant_id)
    live = await refused(world.tenants.PurgeTenant(purge, metadata=platform.metadata))
    await world.tenants.DeleteTenant(
        tenant_pb2.DeleteTenantRequest(id=administrator.tenant_id), metadata=platform.metadata
    )

    await world.tenants.PurgeTenant(purge, metadata=platform.metadata)

    assert live.reason == "NOT_DELETED"
    assert all(before[table] > 0 for table in tables)
    assert set((await _rows_of(admin, administrator.tenant_id)).values()) == {0}
    assert await _rows_of(admin, other.tenant_id) == before
    assert contact not in str(await rows_of(admin))
    assert await admin.fetchval("SELECT count(*) FROM jobs.pgqueuer_log WHERE status = 'failed'") == 1
    told = await admin.fetchrow("SELECT tenant_id::text, details FROM audit_logs WHERE action = 'tenants.purge'")
    assert told["tenant_id"] == platform.tenant_id
    assert '"users": 2' in told["details"]


async def _put_aside(admin: Any, tenant_id: str) -> None:
    """A job of the tenant is put aside."""
    await admin.execute(
        "WITH job AS (INSERT INTO jobs.pgqueuer (priority, status, entrypoint, dedupe_key) "
        "VALUES (0, 'failed', 'mail/1', $1) RETURNING id, status, priority, entrypoint) "
        "INSERT INTO jobs.pgqueuer_log (job_id, status, priority, entrypoint) SELECT * FROM job",
        f"{tenant_id}/job",
    )


async def _rows_of(admin: Any, tenant_id: str) -> dict[str, int]:
    """How many rows the tenant has in each table that names a tenant, and among the tenants."""
    tables = await admin.fetch(
        "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t USING (table_name) "
        "WHERE c.column_name = 'tenant_id' AND c.table_schema = 'public' AND t.table_type = 'BASE TABLE'"
    )
    counts = {
        row[0]: await admin.fetchval(f'SELECT count(*) FROM "{row[0]}" WHERE tenant_id = $1', tenant_id)
        for row in tables
    }
    aside = "FROM jobs.pgqueuer AS job JOIN jobs.pgqueuer_log AS told ON told.job_id = job.id WHERE dedupe_key LIKE $1"
    counts["the queue"] = await admin.fetchval(f"SELECT count(*) {aside}", f"{tenant_id}/%")
    counts["tenants"] = await admin.fetchval("SELECT count(*) FROM tenants WHERE id = $1", tenant_id)
    return counts


async def test_the_platform_itself_is_neither_suspended_nor_deleted(world: World) -> None:
    platform = await world.platform()

    for call in (
        world.tenants.SuspendTenant(tenant_pb2.SuspendTenantRequest(id=platform.tenant_id), metadata=platform.metadata),
        world.tenants.DeleteTenant(tenant_pb2.DeleteTenantRequest(id=platform.tenant_id), metadata=platform.metadata),
    ):
        assert (await refused(call)).reason == "PLATFORM_TENANT_IMMUTABLE"
