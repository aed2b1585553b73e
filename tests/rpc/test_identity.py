"""The IdentityService over a real channel."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest
from google.rpc import error_details_pb2

from atrium.identity.v1 import password_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from server.identity.store.sessions import CHANGED
from tests.factories.world import PASSWORD, World, refused

ALLOW, DENY = role_pb2.EFFECT_ALLOW, role_pb2.EFFECT_DENY


@pytest.mark.parametrize("login", ["admin", "ADMIN", "Admin@{tenant}.example"])
async def test_a_user_signs_in_by_username_or_email_in_any_case(world: World, login: str) -> None:
    administrator = await world.tenant()

    person = await world.sign_in(administrator.tenant, login.format(tenant=administrator.tenant))

    assert person.id == administrator.id


async def test_whatever_is_wrong_with_a_sign_in_the_answer_is_one(world: World, admin: Any) -> None:
    administrator, suspended, full = await world.tenant(), await world.tenant(), await world.tenant()
    names = ("inactive", "locked", "deleted", "waiting", "guessed")
    people = {name: await world.user(administrator) for name in names}
    ids = {name: person.id for name, person in people.items()}
    later = "now() + interval '1 hour'"
    for statement, id_ in {
        "UPDATE users SET status = 'inactive' WHERE id = $1": ids["inactive"],
        "UPDATE users SET status = 'locked' WHERE id = $1": ids["locked"],
        "UPDATE users SET deleted_at = now() WHERE id = $1": ids["deleted"],
        f"UPDATE users SET locked_until = {later} WHERE id = $1": ids["waiting"],
        "UPDATE sessions SET ip_address = '192.0.2.1' WHERE user_id = $1": ids["waiting"],
        f"INSERT INTO sign_in_guesses SELECT tenant_id, user_id, ip_address, 99, {later} FROM sessions "
        "WHERE user_id = $1": ids["guessed"],
        "UPDATE tenants SET status = 'suspended' WHERE id = $1": suspended.tenant_id,
        f"UPDATE sign_in_throttle SET blocked_until = {later} WHERE tenant_id = $1": full.tenant_id,
        "UPDATE sessions SET ip_address = '192.0.2.1' WHERE tenant_id = $1": full.tenant_id,
    }.items():
        await admin.execute(statement, id_)
    attempts = [
        session_pb2.LoginRequest(tenant="nowhere", login="admin", password=PASSWORD),
        session_pb2.LoginRequest(tenant=suspended.tenant, login="admin", password=PASSWORD),
        session_pb2.LoginRequest(tenant=full.tenant, login="admin", password=PASSWORD),
        session_pb2.LoginRequest(tenant=administrator.tenant, login="nobody", password=PASSWORD),
        session_pb2.LoginRequest(tenant=administrator.tenant, login="admin", password="wrong"),
        *(
            session_pb2.LoginRequest(tenant=person.tenant, login=person.username, password=PASSWORD)
            for person in people.values()
        ),
    ]

    refusals = [await refused(world.identity.Login(attempt)) for attempt in attempts]

    assert {(refusal.code, refusal.reason, refusal.message) for refusal in refusals} == {
        (grpc.StatusCode.UNAUTHENTICATED, "LOGIN_FAILED", "The tenant, the login or the password is wrong.")
    }
    assert len({str(refusal.details) for refusal in refusals}) == 1


async def test_an_access_token_is_checked_with_the_published_keys(world: World) -> None:
    administrator = await world.tenant()
    keys = (await world.identity.GetJwks(session_pb2.GetJwksRequest())).keys
    token = administrator.tokens.access_token
    kid = jwt.get_unverified_header(token)["kid"]
    key = next(key for key in keys if key.kid == kid)
    fields = {field.name: getattr(key, field.name) for field in key.DESCRIPTOR.fields}

    claims = jwt.decode(token, jwt.PyJWK(fields), algorithms=["EdDSA"], audience="atrium", issuer="atrium")

    assert (claims["sub"], claims["tid"]) == (administrator.id, administrator.tenant_id)
    assert claims["exp"] - claims["iat"] == 15 * 60


async def test_a_session_is_over_once_its_user_has_signed_out(world: World) -> None:
    administrator = await world.tenant()

    await world.identity.Logout(session_pb2.LogoutRequest(), metadata=administrator.metadata)

    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata))
    request = session_pb2.RefreshTokenRequest(refresh_token=administrator.tokens.refresh_token)
    refresh = await refused(world.identity.RefreshToken(request))
    assert (access.reason, refresh.reason) == ("SESSION_REVOKED", "REFRESH_TOKEN_INVALID")


async def test_a_new_password_ends_the_users_other_sessions(world: World) -> None:
    administrator = await world.tenant()
    elsewhere = await world.sign_in(administrator.tenant, "admin")
    wrong = password_pb2.ChangePasswordRequest(current_password="wrong", new_password="a new password")
    right = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="a new password")

    refusal = await refused(world.identity.ChangePassword(wrong, metadata=administrator.metadata))
    await world.identity.ChangePassword(right, metadata=administrator.metadata)

    assert (refusal.code, refusal.reason, refusal.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "PASSWORD_INCORRECT",
        ["current_password"],
    )
    other = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=elsewhere.metadata))
    assert other.reason == "SESSION_REVOKED"
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)
    await world.sign_in(administrator.tenant, "admin", "a new password")


async def test_who_am_i_says_who_calls_and_what_they_may_do(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "roles:manage")

    me = await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata)

    assert (me.user_id, me.tenant_id, me.platform) == (person.id, administrator.tenant_id, False)
    # The default role's, and what `manage` implies.
    expected = ["models:read", "roles:manage", "roles:read", "templates:read", "users:read", "workflows:read"]
    assert list(me.permissions) == expected


async def test_a_user_is_created_read_listed_and_changed(world: World) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(
        username="Lin", email="Lin@example.com", full_name="林", locale="en", timezone="Europe/Berlin"
    )

    made = (await world.identity.CreateUser(request, metadata=administrator.metadata)).user
    got = (await world.identity.GetUser(user_pb2.GetUserRequest(id=made.id), metadata=administrator.metadata)).user
    change = user_pb2.UpdateUserRequest(
        id=made.id, etag=made.etag, update_mask={"paths": ["full_name", "phone"]}, phone="1"
    )
    new = (await world.identity.UpdateUser(change, metadata=administrator.metadata)).user
    listed = await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=administrator.metadata)

    assert got == made
    assert (made.username, made.timezone, made.state) == ("Lin", "Europe/Berlin", user_pb2.User.STATE_ACTIVE)
    assert (new.HasField("full_name"), new.phone, new.email) == (False, "1", "Lin@example.com")
    assert new.etag != made.etag
    assert [user.id for user in listed.users] == [made.id, administrator.id]


async def test_a_name_is_taken_in_any_case_within_a_tenant_and_free_in_another(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    first = user_pb2.CreateUserRequest(username="lin", email="lin@example.com")
    await world.identity.CreateUser(first, metadata=administrator.metadata)
    await world.identity.CreateUser(first, metadata=other.metadata)

    for request, reason in (
        (user_pb2.CreateUserRequest(username="LIN", email="else@example.com"), "USERNAME_TAKEN"),
        (user_pb2.CreateUserRequest(username="else", email="LIN@example.com"), "EMAIL_TAKEN"),
    ):
        refusal = await refused(world.identity.CreateUser(request, metadata=administrator.metadata))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, reason)


async def test_a_stale_etag_is_refused(world: World) -> None:
    administrator = await world.tenant()
    role = await world.role(administrator, "users:read")
    user = (
        await world.identity.GetUser(user_pb2.GetUserRequest(id=administrator.id), metadata=administrator.metadata)
    ).user
    for make in (
        lambda etag: (world.identity.UpdateUser, user_pb2.UpdateUserRequest(id=user.id, full_name="A", etag=etag)),
        lambda etag: (world.identity.UpdateRole, role_pb2.UpdateRoleRequest(id=role.id, name="A", etag=etag)),
    ):
        method, request = make("")
        await method(request, metadata=administrator.metadata)
        method, request = make(user.etag if method is world.identity.UpdateUser else role.etag)

        refusal = await refused(method(request, metadata=administrator.metadata))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")


async def test_what_signing_in_writes_leaves_the_etag_alone(world: World) -> None:
    administrator = await world.tenant()
    get = user_pb2.GetUserRequest(id=administrator.id)
    before = (await world.identity.GetUser(get, metadata=administrator.metadata)).user

    await world.sign_in(administrator.tenant, "admin")

    after = (await world.identity.GetUser(get, metadata=administrator.metadata)).user
    assert after.etag == before.etag
    assert after.last_login_time.ToDatetime() > before.last_login_time.ToDatetime()


async def test_a_new_email_address_is_not_verified(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute("UPDATE users SET email_verified = true WHERE id = $1", administrator.id)
    change = user_pb2.UpdateUserRequest(id=administrator.id, email="new@example.com")

    user = (await world.identity.UpdateUser(change, metadata=administrator.metadata)).user

    assert (user.email, user.email_verified) == ("new@example.com", False)


async def test_an_unknown_time_zone_is_refused(world: World) -> None:
    administrator = await world.tenant()
    request = user_pb2.CreateUserRequest(username="lin", email="lin@example.com", timezone="Mars/Olympus")

    refusal = await refused(world.identity.CreateUser(request, metadata=administrator.metadata))

    assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["timezone"])


async def test_a_list_comes_in_pages_each_user_once(world: World) -> None:
    administrator = await world.tenant()
    for number in range(5):
        request = user_pb2.CreateUserRequest(username=f"u{number}", email=f"u{number}@example.com")
        await world.identity.CreateUser(request, metadata=administrator.metadata)

    names: list[str] = []
    token = ""
    while True:
        request = user_pb2.ListUsersRequest(page_size=2, page_token=token)
        reply = await world.identity.ListUsers(request, metadata=administrator.metadata)
        names += [user.username for user in reply.users]
        token = reply.next_page_token
        if not token:
            break

    assert names == ["u4", "u3", "u2", "u1", "u0", "admin"]


async def test_a_page_token_is_good_for_its_own_list_only(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    await world.user(administrator)
    list_ = user_pb2.ListUsersRequest(page_size=1)
    token = (await world.identity.ListUsers(list_, metadata=administrator.metadata)).next_page_token
    assert token
    for method, request, person in (
        (world.identity.ListUsers, user_pb2.ListUsersRequest(page_token=token), other),
        (world.identity.ListUsers, user_pb2.ListUsersRequest(page_token=token, state=1), administrator),
        (world.identity.ListRoles, role_pb2.ListRolesRequest(page_token=token), administrator),
        (world.identity.ListUsers, user_pb2.ListUsersRequest(page_token=token[:-1]), administrator),
    ):
        refusal = await refused(method(request, metadata=person.metadata))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_the_filters_of_users_choose(world: World) -> None:
    administrator = await world.tenant()
    idle = user_pb2.CreateUserRequest(username="idle", email="idle@example.com")
    made = (await world.identity.CreateUser(idle, metadata=administrator.metadata)).user
    change = user_pb2.UpdateUserRequest(id=made.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)

    for request, expected in (
        (user_pb2.ListUsersRequest(state=user_pb2.User.STATE_INACTIVE), ["idle"]),
        (user_pb2.ListUsersRequest(last_login_time_from=hour_ago), ["admin"]),
        (user_pb2.ListUsersRequest(last_login_time_until=hour_ago), []),
        (user_pb2.ListUsersRequest(email_verified=True), []),
        (user_pb2.ListUsersRequest(email_verified=False), ["idle", "admin"]),
    ):
        reply = await world.identity.ListUsers(request, metadata=administrator.metadata)

        assert [user.username for user in reply.users] == expected


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


async def test_whoever_is_made_inactive_is_out_at_once(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata)

    change = user_pb2.UpdateUserRequest(id=person.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata))
    refresh = session_pb2.RefreshTokenRequest(refresh_token=person.tokens.refresh_token)
    assert refusal.reason == "SESSION_REVOKED"
    assert (await refused(world.identity.RefreshToken(refresh))).reason == "REFRESH_TOKEN_INVALID"
