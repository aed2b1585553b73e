"""Sign-ins that fail have the next ones wait, and nobody can lock another out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from argon2 import extract_parameters

from atrium.identity.v1 import session_pb2, user_pb2
from atrium.tenant.v1 import tenant_pb2
from server.db.statements import Statement
from server.identity import passwords
from server.identity.store.throttle import FREE_OF_ACCOUNT, FREE_OF_ADDRESS, LONGEST_SECONDS
from server.kernel.principal import call_or_none
from tests.factories.world import PASSWORD, Person, World, refused

pytestmark = pytest.mark.heavy_hashes


async def _fail(world: World, tenant: str, login: str, times: int = 1) -> None:
    for _ in range(times):
        request = session_pb2.LoginRequest(tenant=tenant, login=login, password="wrong")
        assert (await refused(world.identity.Login(request))).reason == "LOGIN_FAILED"


async def _newcomer(world: World, administrator: Person, admin: Any) -> Person:
    """A user who has signed in, and from elsewhere only."""
    user = await world.user(administrator)
    await admin.execute("UPDATE sessions SET ip_address = '192.0.2.1' WHERE user_id = $1", user.id)
    return user


async def _waits(admin: Any, user_id: str) -> float:
    return float(
        await admin.fetchval("SELECT extract(epoch FROM locked_until - updated_at) FROM users WHERE id = $1", user_id)
    )


async def test_failed_sign_ins_have_the_next_ones_wait_longer_each_time(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    user = await _newcomer(world, administrator, admin)
    await _fail(world, user.tenant, user.username, FREE_OF_ACCOUNT - 1)
    assert await admin.fetchval("SELECT locked_until FROM users WHERE id = $1", user.id) is None

    waits = []
    for _ in range(12):
        await admin.execute("UPDATE users SET locked_until = NULL WHERE id = $1", user.id)
        await admin.execute("DELETE FROM sign_in_throttle")
        await _fail(world, user.tenant, user.username)
        waits.append(await _waits(admin, user.id))

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, LONGEST_SECONDS, LONGEST_SECONDS]


async def test_while_an_account_waits_the_right_password_fails_too_and_nothing_counts(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    user = await _newcomer(world, administrator, admin)
    await admin.execute(
        "UPDATE users SET login_attempts = 9, locked_until = now() + interval '1 minute' WHERE id = $1", user.id
    )
    right = session_pb2.LoginRequest(tenant=user.tenant, login=user.username, password=PASSWORD)

    waiting = await refused(world.identity.Login(right))
    await _fail(world, user.tenant, user.username, 3)
    counted = await admin.fetchval("SELECT login_attempts FROM users WHERE id = $1", user.id)
    await admin.execute("UPDATE users SET locked_until = now() WHERE id = $1", user.id)
    await world.identity.Login(right)

    assert (waiting.reason, counted) == ("LOGIN_FAILED", 9)
    after = await admin.fetchrow("SELECT login_attempts, locked_until, last_login_at FROM users WHERE id = $1", user.id)
    assert tuple(after)[:2] == (0, None)
    assert after["last_login_at"] is not None


async def test_nobody_is_locked_out_of_where_they_signed_in_before(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    await admin.execute("UPDATE users SET locked_until = now() + interval '1 minute' WHERE id = $1", user.id)

    await world.sign_in(user.tenant, user.username)


async def test_an_address_that_fails_often_waits_whomever_it_tries(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    other = await _newcomer(world, administrator, admin)
    for number in range(FREE_OF_ADDRESS):
        await _fail(world, administrator.tenant, f"nobody-{number}")
    # It waits a second by now: for longer than the test takes.
    await admin.execute("UPDATE sign_in_throttle SET blocked_until = blocked_until + interval '1 hour'")

    right = session_pb2.LoginRequest(tenant=other.tenant, login=other.username, password=PASSWORD)
    refusal = await refused(world.identity.Login(right))
    await admin.execute("UPDATE sign_in_throttle SET blocked_until = now()")

    assert refusal.reason == "LOGIN_FAILED"
    await world.identity.Login(right)


async def test_an_address_waits_longer_each_time(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await _fail(world, administrator.tenant, "nobody", FREE_OF_ADDRESS - 1)
    of_tenant = "FROM sign_in_throttle WHERE tenant_id = $1"
    assert await admin.fetchval(f"SELECT blocked_until {of_tenant}", administrator.tenant_id) is None

    waits = []
    for _ in range(12):
        await admin.execute("UPDATE sign_in_throttle SET blocked_until = NULL")
        await _fail(world, administrator.tenant, "nobody")
        wait = f"SELECT extract(epoch FROM blocked_until - updated_at) {of_tenant}"
        waits.append(float(await admin.fetchval(wait, administrator.tenant_id)))

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, LONGEST_SECONDS, LONGEST_SECONDS]


async def test_an_address_that_was_quiet_for_long_begins_anew(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await _fail(world, administrator.tenant, "nobody", FREE_OF_ADDRESS - 1)
    await admin.execute("ALTER TABLE sign_in_throttle DISABLE TRIGGER touch")
    await admin.execute("UPDATE sign_in_throttle SET updated_at = now() - interval '2 hours'")
    await admin.execute("ALTER TABLE sign_in_throttle ENABLE TRIGGER touch")

    await _fail(world, administrator.tenant, "nobody")

    row = await admin.fetchrow(
        "SELECT failures, blocked_until FROM sign_in_throttle WHERE tenant_id = $1", administrator.tenant_id
    )
    assert tuple(row) == (1, None)


async def test_failures_in_one_tenant_hold_up_nobody_in_another(world: World, admin: Any) -> None:
    first, second = await world.tenant(), await world.tenant()
    await _fail(world, first.tenant, "nobody", FREE_OF_ADDRESS)

    await world.sign_in(second.tenant, "admin")


async def test_an_administrator_locks_and_unlocks(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    await admin.execute("UPDATE users SET login_attempts = 9 WHERE id = $1", user.id)

    locked = await world.identity.LockUser(user_pb2.LockUserRequest(id=user.id), metadata=administrator.metadata)
    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata))
    login = session_pb2.LoginRequest(tenant=user.tenant, login=user.username, password=PASSWORD)
    refusal = await refused(world.identity.Login(login))
    unlocked = await world.identity.UnlockUser(user_pb2.UnlockUserRequest(id=user.id), metadata=administrator.metadata)

    assert (locked.user.state, unlocked.user.state) == (user_pb2.User.STATE_LOCKED, user_pb2.User.STATE_ACTIVE)
    assert (access.reason, refusal.reason) == ("SESSION_REVOKED", "LOGIN_FAILED")
    assert await admin.fetchval("SELECT login_attempts FROM users WHERE id = $1", user.id) == 0
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=user.metadata)


async def test_who_was_inactive_is_so_again_when_they_are_unlocked(world: World) -> None:
    administrator = await world.tenant()
    user = await world.user(administrator)
    change = user_pb2.UpdateUserRequest(id=user.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)

    states = []
    for _ in range(2):
        lock = user_pb2.LockUserRequest(id=user.id)
        states += [(await world.identity.LockUser(lock, metadata=administrator.metadata)).user.state for _ in range(2)]
        unlock = user_pb2.UnlockUserRequest(id=user.id)
        states.append((await world.identity.UnlockUser(unlock, metadata=administrator.metadata)).user.state)

    LOCKED, INACTIVE = user_pb2.User.STATE_LOCKED, user_pb2.User.STATE_INACTIVE  # noqa: N806
    assert states == [LOCKED, LOCKED, INACTIVE] * 2


async def test_whoever_holds_less_changes_nobody_who_holds_more(world: World) -> None:
    administrator = await world.tenant()
    clerk = await world.user(administrator, "users:manage")

    session_id = (await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)).session_id

    calls = [
        world.identity.ListSessions(session_pb2.ListSessionsRequest(user_id=administrator.id), metadata=clerk.metadata),
        world.identity.RevokeSession(session_pb2.RevokeSessionRequest(id=session_id), metadata=clerk.metadata),
        world.identity.LockUser(user_pb2.LockUserRequest(id=administrator.id), metadata=clerk.metadata),
        world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=administrator.id), metadata=clerk.metadata),
        world.identity.UnlockUser(user_pb2.UnlockUserRequest(id=administrator.id), metadata=clerk.metadata),
        world.identity.UpdateUser(
            user_pb2.UpdateUserRequest(id=administrator.id, email="mine@example.com"), metadata=clerk.metadata
        ),
    ]

    for call in calls:
        refusal = await refused(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ESCALATION_REFUSED")
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)


async def test_every_failure_does_the_same_work(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statements that each failure runs, and its hash; how long these take is the bench's to say."""
    administrator = await world.tenant()
    user = await world.user(administrator)
    inactive = await world.user(administrator)
    change = user_pb2.UpdateUserRequest(id=inactive.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    away, platform = await world.tenant(), await world.platform()
    suspend = tenant_pb2.SuspendTenantRequest(id=away.tenant_id)
    await world.tenants.SuspendTenant(suspend, metadata=platform.metadata)
    work: list[str] = []
    arguments, matches = Statement.arguments, passwords._matches

    def noted_statement(statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        call = call_or_none()
        if call is not None and call.method.endswith("/Login"):
            work.append(statement.sql.split()[0])
        return arguments(statement, values)

    def noted_hash(password_hash: str, password: str) -> bool:
        work.append(str(extract_parameters(password_hash)))
        return matches(password_hash, password)

    monkeypatch.setattr(Statement, "arguments", noted_statement)
    monkeypatch.setattr(passwords, "_matches", noted_hash)

    done: dict[str, list[str]] = {}
    for name, tenant, login, password in (
        ("unknown tenant", "nowhere", "nobody", "wrong"),
        ("suspended tenant", away.tenant, "admin", PASSWORD),
        ("unknown user", administrator.tenant, "nobody", "wrong"),
        ("wrong password", administrator.tenant, user.username, "wrong"),
        ("inactive", administrator.tenant, inactive.username, PASSWORD),
    ):
        await refused(world.identity.Login(session_pb2.LoginRequest(tenant=tenant, login=login, password=password)))
        done[name] = work.copy()
        work.clear()

    assert [step.partition("(")[0] for step in done["unknown tenant"]].count("Parameters") == 1
    assert done == dict.fromkeys(done, done["unknown tenant"])
