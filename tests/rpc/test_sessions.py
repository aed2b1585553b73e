"""Sessions, as their users and administrators see them."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc import StatusCode as Code

from atrium.identity.v1 import role_pb2, session_pb2, user_pb2
from tests.factories.world import World, refused


async def test_a_user_sees_their_sessions_and_which_one_this_is(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    again = await world.sign_in(user.tenant, user.username)

    sessions = (await world.identity.ListSessions(session_pb2.ListSessionsRequest(), metadata=again.metadata)).sessions

    assert [(session.current, session.user_id) for session in sessions] == [(True, user.id), (False, user.id)]
    assert all(session.ip_address in ("127.0.0.1", "::1") and session.user_agent for session in sessions)


async def test_a_session_that_is_revoked_is_over_at_once_and_says_why(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    again = await world.sign_in(user.tenant, user.username)
    listed = await world.identity.ListSessions(session_pb2.ListSessionsRequest(), metadata=again.metadata)
    first = next(session for session in listed.sessions if not session.current)

    await world.identity.RevokeSession(session_pb2.RevokeSessionRequest(id=first.id), metadata=again.metadata)

    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata))
    refresh = await refused(
        world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=user.tokens.refresh_token))
    )
    after = await world.identity.ListSessions(session_pb2.ListSessionsRequest(), metadata=again.metadata)
    ended = next(session for session in after.sessions if session.id == first.id)
    assert (access.reason, refresh.reason) == ("SESSION_REVOKED", "REFRESH_TOKEN_INVALID")
    assert (ended.revoke_reason, ended.HasField("revoke_time")) == ("revoked", True)
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=again.metadata)


async def test_anothers_sessions_are_for_who_manages_users(world: World) -> None:
    administrator = await world.tenant()
    user, colleague = await world.user(administrator), await world.user(administrator)
    of_user = session_pb2.ListSessionsRequest(user_id=user.id)
    listed = await world.identity.ListSessions(of_user, metadata=administrator.metadata)
    revoke = session_pb2.RevokeSessionRequest(id=listed.sessions[0].id)

    seen = await refused(world.identity.ListSessions(of_user, metadata=colleague.metadata))
    ended = await refused(world.identity.RevokeSession(revoke, metadata=colleague.metadata))
    await world.identity.RevokeSession(revoke, metadata=administrator.metadata)

    assert (seen.reason, ended.reason) == ("PERMISSION_MISSING", "SESSION_NOT_FOUND")
    assert (
        await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata))
    ).reason == "SESSION_REVOKED"


async def test_sessions_come_in_pages(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    for _ in range(4):
        user = await world.sign_in(user.tenant, user.username)

    found, token = [], ""
    while True:
        request = session_pb2.ListSessionsRequest(page_size=2, page_token=token)
        page = await world.identity.ListSessions(request, metadata=user.metadata)
        found += [session.id for session in page.sessions]
        token = page.next_page_token
        if not token:
            break

    assert found == sorted(set(found), reverse=True)
    assert len(found) == 5


async def test_a_role_that_is_given_for_a_time_ends_on_time(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    user = await world.nobody(administrator)
    role = await world.role(administrator, "users:read")
    request = role_pb2.AssignRoleRequest(user_id=user.id, role_id=role.id, expire_time={"seconds": 4_102_444_800})
    await world.identity.AssignRole(request, metadata=administrator.metadata)
    await admin.execute("UPDATE user_roles SET expires_at = now() + interval '300 ms' WHERE role_id = $1", role.id)
    # Read anew, since this change was made behind the server's back.
    again = await world.sign_in(user.tenant, user.username)

    async with asyncio.timeout(10):
        while await world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=again.metadata).code() is Code.OK:
            pass

    refusal = await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=again.metadata))
    assert refusal.code is Code.PERMISSION_DENIED


async def test_the_sessions_of_a_deleted_user_are_hidden_with_them_and_come_back_as_they_were(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    ended = await world.sign_in(user.tenant, user.username)
    await world.identity.Logout(session_pb2.LogoutRequest(), metadata=ended.metadata)
    of_user = session_pb2.ListSessionsRequest(user_id=user.id)
    before = await world.identity.ListSessions(of_user, metadata=administrator.metadata)
    lives = next(session.id for session in before.sessions if not session.HasField("revoke_time"))
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=administrator.metadata)

    refusals = [
        await refused(world.identity.ListSessions(of_user, metadata=administrator.metadata)),
        await refused(
            world.identity.RevokeSession(session_pb2.RevokeSessionRequest(id=lives), metadata=administrator.metadata)
        ),
        await refused(
            world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=user.tokens.refresh_token))
        ),
    ]
    await world.identity.RestoreUser(user_pb2.RestoreUserRequest(id=user.id), metadata=administrator.metadata)

    assert [each.reason for each in refusals] == ["USER_NOT_FOUND", "SESSION_NOT_FOUND", "REFRESH_TOKEN_INVALID"]
    assert await world.identity.ListSessions(of_user, metadata=administrator.metadata) == before
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata)
    await world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=user.tokens.refresh_token))
    still = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=ended.metadata))
    assert still.reason == "SESSION_REVOKED"


async def test_a_purged_users_sessions_go_with_them(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    user = await world.user(administrator)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=user.id), metadata=administrator.metadata)
    inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))

    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=user.id), metadata=inside)

    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata))
    assert access.reason == "SESSION_REVOKED"
    assert await admin.fetchval("SELECT count(*) FROM sessions WHERE user_id = $1", user.id) == 0
