"""The IdentityService over a real channel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import jwt
import pytest

from atrium.identity.v1 import password_pb2, role_pb2, session_pb2, user_pb2
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
    expected = [
        "knowledge_bases:read",
        "models:read",
        "roles:manage",
        "roles:read",
        "templates:read",
        "users:read",
        "workflows:read",
    ]
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

    change.state = user_pb2.User.STATE_ACTIVE
    await world.identity.UpdateUser(change, metadata=administrator.metadata)

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata))
    assert refusal.reason == "SESSION_REVOKED", "signed out, and not for the time being"
    assert (await refused(world.identity.RefreshToken(refresh))).reason == "REFRESH_TOKEN_INVALID"
