"""What the audit log says of changes, sign-ins and refusals."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from grpc import StatusCode

from atrium.identity.v1 import api_key_pb2, password_pb2, role_pb2, session_pb2, user_pb2
from atrium.model.v1 import model_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.kernel.ids import PLATFORM_TENANT_ID
from tests.factories.knowledge import PERSONAL as PERSONAL_BASE
from tests.factories.knowledge import make_base
from tests.factories.prompts import PERSONAL, TENANT, make_template
from tests.factories.workflows import EDITS, make_workflow
from tests.factories.workflows import PERSONAL as PERSONAL_WORKFLOW
from tests.factories.world import PASSWORD, Person, World, refused

TRACE = "ab" * 16


async def _entries(admin: Any, tenant_id: str, action: str) -> list[dict[str, Any]]:
    rows = await admin.fetch(
        "SELECT * FROM audit_logs WHERE tenant_id = $1 AND action = $2 ORDER BY id", tenant_id, action
    )
    return [dict(row) for row in rows]


def _traced(person: Person) -> tuple[tuple[str, str], ...]:
    return (*person.metadata, ("traceparent", f"00-{TRACE}-{'cd' * 8}-01"), ("x-request-id", "my-request"))


async def test_a_change_is_told_with_who_what_and_from_where(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    change = user_pb2.UpdateUserRequest(id=person.id, full_name="Lin")

    await world.identity.UpdateUser(change, metadata=_traced(administrator))

    (entry,) = await _entries(admin, administrator.tenant_id, "users.update")
    old, new = orjson.loads(entry["old_value"]), orjson.loads(entry["new_value"])
    assert (str(entry["user_id"]), entry["actor_kind"]) == (administrator.id, "user")
    assert (entry["resource_type"], entry["resource_id"]) == ("user", person.id)
    assert (entry["request_id"], entry["trace_id"]) == ("my-request", TRACE)
    assert str(entry["ip_address"]) == "127.0.0.1"
    assert (entry["status"], old["full_name"], new["full_name"]) == ("success", None, "Lin")
    assert {name for name in new if new[name] != old[name]} == {"full_name"}


async def test_every_change_has_its_entry(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    person = await world.user(administrator)
    role = await world.role(administrator, "users:read")
    both = {"user_id": person.id, "role_id": role.id}
    metadata = administrator.metadata
    await world.identity.UpdateUser(user_pb2.UpdateUserRequest(id=person.id, phone="1"), metadata=metadata)
    await world.identity.UpdateRole(role_pb2.UpdateRoleRequest(id=role.id, name="New"), metadata=metadata)
    await world.identity.AssignRole(role_pb2.AssignRoleRequest(**both), metadata=metadata)
    await world.identity.UnassignRole(role_pb2.UnassignRoleRequest(**both), metadata=metadata)
    await world.tenants.UpdateTenant(tenant_pb2.UpdateTenantRequest(country="NZ"), metadata=metadata)
    await world.tenants.UpdateTenantConfig(
        tenant_config_pb2.UpdateTenantConfigRequest(temperature=1), metadata=metadata
    )
    password = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="another password")
    await world.identity.ChangePassword(password, metadata=metadata)
    await world.identity.Logout(session_pb2.LogoutRequest(), metadata=metadata)
    price = model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="2")
    new = model_pb2.CreateModelRequest(name="m", provider=1, type=1, price=price)
    await world.models.CreateModel(new, metadata=platform.metadata)

    rows = await admin.fetch("SELECT DISTINCT tenant_id, action FROM audit_logs WHERE status = 'success'")
    told = {(str(row["tenant_id"]), row["action"]) for row in rows}

    own = {
        *("tenants.create", "tenants.update", "tenants.update_config"),
        *("users.create", "users.update", "users.assign_role", "users.unassign_role", "users.change_password"),
        *("roles.create", "roles.update", "roles.set_permissions"),
        *("sessions.login", "sessions.logout"),
    }
    assert {action for tenant_id, action in told if tenant_id == administrator.tenant_id} == own
    assert {action for tenant_id, action in told if tenant_id == platform.tenant_id} == {
        "users.create",
        "sessions.login",
        "models.create",
    }


async def test_the_platforms_administrator_is_named_in_the_tenants_log(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()

    change = tenant_pb2.UpdateTenantRequest(id=administrator.tenant_id, country="NZ")
    await world.tenants.UpdateTenant(change, metadata=platform.metadata)

    (entry,) = await _entries(admin, administrator.tenant_id, "tenants.update")
    assert (str(entry["user_id"]), str(entry["acting_for"])) == (platform.id, administrator.tenant_id)


async def test_a_refusal_is_told(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    request = role_pb2.CreateRoleRequest(name="Mine", code="mine")

    await refused(world.identity.CreateRole(request, metadata=_traced(person)))

    (entry,) = await _entries(admin, administrator.tenant_id, "/atrium.identity.v1.IdentityService/CreateRole")
    assert (str(entry["user_id"]), entry["status"], entry["error_message"]) == (
        person.id,
        "failure",
        "PERMISSION_MISSING",
    )
    assert (orjson.loads(entry["details"]), entry["trace_id"]) == ({"permission": "roles:manage"}, TRACE)


async def _deletes_the_last_administrator(world: World, by: Person) -> Any:
    return world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=by.id), metadata=by.metadata)


async def _brings_anothers_page_token(world: World, by: Person) -> Any:
    other = await world.tenant()
    await world.user(other)
    page = await world.identity.ListUsers(user_pb2.ListUsersRequest(page_size=1), metadata=other.metadata)
    request = user_pb2.ListUsersRequest(page_size=1, page_token=page.next_page_token)
    return world.identity.ListUsers(request, metadata=by.metadata)


async def _makes_a_key_for_more_than_they_hold(world: World, by: Person) -> Any:
    request = api_key_pb2.CreateApiKeyRequest(name="k", scopes=["models:manage"])
    return world.identity.CreateApiKey(request, metadata=by.metadata)


async def _brings_a_page_token_with_another_bit(world: World, by: Person) -> Any:
    await world.user(by)
    page = await world.identity.ListUsers(user_pb2.ListUsersRequest(page_size=1), metadata=by.metadata)
    token = page.next_page_token
    changed = ("B" if token[0] == "A" else "A") + token[1:]
    return world.identity.ListUsers(user_pb2.ListUsersRequest(page_size=1, page_token=changed), metadata=by.metadata)


async def _demotes_themselves(world: World, by: Person) -> Any:
    held = await world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=by.id), metadata=by.metadata)
    (role_id,) = [role.id for role in held.roles if role.code == "admin"]
    return world.identity.UnassignRole(
        role_pb2.UnassignRoleRequest(user_id=by.id, role_id=role_id), metadata=by.metadata
    )


async def _makes_themselves_inactive(world: World, by: Person) -> Any:
    request = user_pb2.UpdateUserRequest(id=by.id, state=user_pb2.User.STATE_INACTIVE)
    return world.identity.UpdateUser(request, metadata=by.metadata)


async def _gives_a_role_more_than_they_hold(world: World, by: Person) -> Any:
    role = await world.role(by)
    entry = role_pb2.RolePermission(permission="models:manage", effect=role_pb2.EFFECT_ALLOW)
    request = role_pb2.SetRolePermissionsRequest(role_id=role.id, permissions=[entry])
    return world.identity.SetRolePermissions(request, metadata=by.metadata)


@pytest.mark.parametrize(
    ("attempt", "method", "reason"),
    [
        (_demotes_themselves, "UnassignRole", "LAST_ADMINISTRATOR"),
        (_makes_themselves_inactive, "UpdateUser", "LAST_ADMINISTRATOR"),
        (_gives_a_role_more_than_they_hold, "SetRolePermissions", "ESCALATION_REFUSED"),
        (_brings_a_page_token_with_another_bit, "ListUsers", "PAGE_TOKEN_INVALID"),
        (_deletes_the_last_administrator, "DeleteUser", "LAST_ADMINISTRATOR"),
        (_brings_anothers_page_token, "ListUsers", "PAGE_TOKEN_INVALID"),
        (_makes_a_key_for_more_than_they_hold, "CreateApiKey", "ESCALATION_REFUSED"),
    ],
)
async def test_what_somebody_tried_in_vain_is_told(
    world: World, admin: Any, attempt: Any, method: str, reason: str
) -> None:
    administrator = await world.tenant()

    refusal = await refused(await attempt(world, administrator))

    (entry,) = await _entries(admin, administrator.tenant_id, f"/atrium.identity.v1.IdentityService/{method}")
    assert refusal.reason == reason
    assert (str(entry["user_id"]), entry["status"], entry["error_message"]) == (administrator.id, "failure", reason)


async def test_who_gives_themselves_a_role_above_their_own_is_told(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "roles:manage")
    role = await world.role(administrator, "users:manage")
    request = role_pb2.AssignRoleRequest(user_id=person.id, role_id=role.id)

    refusal = await refused(world.identity.AssignRole(request, metadata=person.metadata))

    (entry,) = await _entries(admin, administrator.tenant_id, "/atrium.identity.v1.IdentityService/AssignRole")
    assert (refusal.code, refusal.reason) == (StatusCode.PERMISSION_DENIED, "ESCALATION_REFUSED")
    assert (str(entry["user_id"]), entry["status"], entry["error_message"]) == (
        person.id,
        "failure",
        "ESCALATION_REFUSED",
    )


@pytest.mark.parametrize("known", [True, False], ids=["a known tenant", "an unknown tenant"])
async def test_a_failed_sign_in_is_told_to_whom_it_concerns(world: World, admin: Any, *, known: bool) -> None:
    administrator = await world.tenant()
    slug = administrator.tenant if known else "nowhere"

    await refused(world.identity.Login(session_pb2.LoginRequest(tenant=slug, login="admin", password="wrong")))

    concerned = administrator.tenant_id if known else str(PLATFORM_TENANT_ID)
    entries = [entry for entry in await _entries(admin, concerned, "sessions.login") if entry["status"] == "failure"]
    assert len(entries) == 1
    assert orjson.loads(entries[0]["details"]) == {"tenant": slug, "login": "admin"}
    assert str(entries[0]["user_id"]) == (administrator.id if known else "None")


async def test_no_secret_is_in_an_entry(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "roles:manage")
    password = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="another password")
    await world.identity.ChangePassword(password, metadata=person.metadata)
    refresh = session_pb2.RefreshTokenRequest(refresh_token=person.tokens.refresh_token)
    await world.identity.RefreshToken(refresh)
    await admin.execute("UPDATE sessions SET rotated_at = rotated_at - interval '6 seconds'")
    await refused(world.identity.RefreshToken(refresh))

    everything = str(await admin.fetchval("SELECT jsonb_agg(to_jsonb(l)) FROM audit_logs l"))

    assert "sessions.refresh" in everything
    secrets = (PASSWORD, "another password", "argon2", person.tokens.access_token, person.tokens.refresh_token)
    assert [secret for secret in secrets if secret in everything] == []


async def test_a_change_that_is_undone_leaves_no_entry(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    twin = user_pb2.CreateUserRequest(username="admin", email="else@example.com")
    before = len(await _entries(admin, administrator.tenant_id, "users.create"))

    await refused(world.identity.CreateUser(twin, metadata=administrator.metadata))

    assert len(await _entries(admin, administrator.tenant_id, "users.create")) == before


async def test_an_entry_cannot_be_altered_by_the_server(world: World, scratch: Any) -> None:
    await world.tenant()
    async with scratch.connect(scratch.url) as connection:
        for verb in ("UPDATE audit_logs SET action = ''", "DELETE FROM audit_logs", "TRUNCATE audit_logs"):
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute(verb)


async def test_a_change_that_cannot_be_told_is_undone(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(username="lin", email="lin@example.com")
    await admin.execute("REVOKE INSERT ON audit_logs FROM atrium_app")

    refusal = await refused(world.identity.CreateUser(request, metadata=administrator.metadata))

    assert refusal.code is StatusCode.INTERNAL
    assert await admin.fetchval("SELECT count(*) FROM users WHERE username = 'lin'") == 0


async def test_what_goes_with_a_person_or_stays_without_them_is_told(world: World, admin: Any) -> None:
    platform = await world.platform()
    person = await world.user(platform, "templates:manage", "knowledge_bases:manage", *EDITS)
    own = await make_template(world, person, "own", PERSONAL)
    shared = await make_template(world, person, "shared", TENANT)
    own_base = await make_base(world, person, "own", visibility=PERSONAL_BASE)
    shared_base = await make_base(world, person, "shared")
    own_workflow = await make_workflow(world, person, "own", visibility=PERSONAL_WORKFLOW)
    shared_workflow = await make_workflow(world, person, "shared")
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=platform.metadata)

    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=person.id), metadata=platform.metadata)

    (entry,) = await _entries(admin, platform.tenant_id, "users.purge")
    assert orjson.loads(entry["details"]) == {
        "templates_removed": [own],
        "templates_without_owner": [shared],
        "knowledge_bases_removed": [own_base],
        "knowledge_bases_without_owner": [shared_base],
        "workflows_removed": [own_workflow],
        "workflows_without_owner": [shared_workflow],
    }


async def test_whom_a_tenant_is_founded_with_is_told_with_their_role(world: World, admin: Any) -> None:
    administrator = await world.tenant()

    (entry,) = await _entries(admin, administrator.tenant_id, "users.create")

    new = orjson.loads(entry["new_value"])
    assert (entry["resource_id"], new["username"], new["roles"]) == (administrator.id, "admin", ["admin"])
