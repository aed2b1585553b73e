"""What a one-time token is good for, and for how long."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from atrium.identity.v1 import password_pb2, session_pb2, user_pb2
from server.identity.store.throttle import FREE_OF_ACCOUNT
from tests.factories.world import PASSWORD, World, refused
from tests.fakes.smtp import Mailbox
from tests.rpc.recovery.mails import (
    INVALID,
    NEW,
    outcome,
    reset_token,
    reset_with,
    verification_token,
    verify_with,
)


async def test_of_ten_uses_at_once_one_wins(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    reset = await reset_token(world, box, person)
    verification = await verification_token(world, box, person)

    resets = await asyncio.gather(*[reset_with(world, reset, f"{NEW} {n}").code() for n in range(10)])
    verifications = await asyncio.gather(*[verify_with(world, verification).code() for _ in range(10)])

    for codes in (resets, verifications):
        assert sorted(code.name for code in codes) == ["INVALID_ARGUMENT"] * 9 + ["OK"]


async def test_a_token_is_good_for_its_purpose_alone(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    reset = await reset_token(world, box, person)
    verification = await verification_token(world, box, person)

    assert await outcome(reset_with(world, verification)) == INVALID
    assert await outcome(verify_with(world, reset)) == INVALID
    await verify_with(world, verification)
    await reset_with(world, reset)


async def test_what_is_not_the_token_is_refused(world: World, box: Mailbox) -> None:
    person, other = await world.tenant(), await world.tenant()
    token = await reset_token(world, box, person)
    tenant, number, secret = token.split(".")
    foreign = other.tenant_id.replace("-", "")
    changed = secret[:-2] + ("AA" if secret[-2:] != "AA" else "BB")

    for wrong in (
        "none",
        f"{tenant}.{number}.{changed}",
        f"{foreign}.{number}.{secret}",
        f"{tenant}.{'0' * 32}.{secret}",
        f"{'f' * 32}.{number}.{secret}",
        f"{tenant}.{number}.",
        f"{token}.",
        f"{tenant}.{number}.\u00e9",
        f"{person.tenant_id}.{number}.{secret}",
        f"{tenant}.{{{number}}}.{secret}",
    ):
        assert await outcome(reset_with(world, wrong)) == INVALID, wrong
        assert await outcome(verify_with(world, wrong)) == INVALID, wrong
    await reset_with(world, token)


async def test_a_token_ends_with_its_time(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    reset = await reset_token(world, box, person)
    verification = await verification_token(world, box, person)
    lives = await admin.fetch(
        "SELECT purpose, extract(hour FROM expires_at - created_at)::int + "
        "extract(day FROM expires_at - created_at)::int * 24 FROM one_time_tokens"
    )
    await admin.execute("UPDATE one_time_tokens SET expires_at = now()")

    assert dict(lives) == {"reset_password": 1, "verify_email": 24}
    assert await outcome(reset_with(world, reset)) == INVALID
    assert await outcome(verify_with(world, verification)) == INVALID


async def test_a_later_token_makes_the_one_before_void(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    resets = [await reset_token(world, box, person) for _ in range(2)]
    verifications = [await verification_token(world, box, person) for _ in range(2)]

    assert await outcome(reset_with(world, resets[0])) == INVALID
    assert await outcome(verify_with(world, verifications[0])) == INVALID
    await verify_with(world, verifications[1])
    await reset_with(world, resets[1])


async def test_another_address_or_password_makes_a_token_void(world: World, box: Mailbox) -> None:
    administrator = await world.tenant()
    movers = [await world.user(administrator) for _ in range(2)]
    tokens = [await reset_token(world, box, movers[0]), await verification_token(world, box, movers[1])]
    for mover in movers:
        change = user_pb2.UpdateUserRequest(id=mover.id, email=f"moved-{mover.username}@example.com")
        await world.identity.UpdateUser(change, metadata=administrator.metadata)
        change.email = f"{mover.username}@example.com"  # which it was: back again, it does not bring the token back
        await world.identity.UpdateUser(change, metadata=administrator.metadata)
    person = await world.user(administrator)
    reset = await reset_token(world, box, person)
    password = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW)
    await world.identity.ChangePassword(password, metadata=person.metadata)

    assert await outcome(reset_with(world, tokens[0])) == INVALID
    assert await outcome(verify_with(world, tokens[1])) == INVALID
    assert await outcome(reset_with(world, reset)) == INVALID


async def test_a_user_who_is_not_active_any_more_can_use_no_token(world: World, box: Mailbox, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    reset = await reset_token(world, box, person)
    verification = await verification_token(world, box, person)
    change = user_pb2.UpdateUserRequest(id=person.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    of_tenant = await reset_token(world, box, administrator)
    await admin.execute("UPDATE tenants SET status = 'suspended' WHERE id = $1", administrator.tenant_id)

    for call in (reset_with(world, reset), verify_with(world, verification), reset_with(world, of_tenant)):
        assert await outcome(call) == INVALID


async def test_a_password_that_is_refused_leaves_the_token_good(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    token = await reset_token(world, box, person)

    for password in ("password1", "admin-2026", person.tenant, "e\u0301" * 4):
        refusal = await refused(reset_with(world, token, password))
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["new_password"]), password
    await reset_with(world, token)


async def test_old_tokens_do_not_pile_up(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await reset_token(world, box, person)
    await admin.execute("UPDATE one_time_tokens SET created_at = created_at - interval '25 hours'")

    await reset_token(world, box, person)

    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_what_is_kept_is_not_the_token(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    secret = (await reset_token(world, box, person)).rpartition(".")[2]

    rows = await admin.fetch("SELECT to_jsonb(t)::text FROM one_time_tokens t")
    audited = await admin.fetch("SELECT to_jsonb(a)::text FROM audit_logs a")

    assert rows
    assert not [row for (row,) in [*rows, *audited] if secret in row]


@pytest.mark.parametrize("by", ["reset", "unlock"])
async def test_whom_guesses_have_wait_signs_in_after_a_reset_and_when_unlocked(
    world: World, box: Mailbox, admin: Any, by: str
) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)

    def login(place: str, password: str) -> Any:
        request = session_pb2.LoginRequest(tenant=person.tenant, login=person.username, password=password)
        return world.identity.Login(request, metadata=(("x-forwarded-for", place),))

    home, abroad, stranger = "198.51.100.7", "203.0.113.9", "192.0.2.44"
    await login(home, PASSWORD)
    for place in (home, stranger):
        for _ in range(FREE_OF_ACCOUNT):
            await refused(login(place, "a wrong password"))
    # Both have the next ones wait by now; long enough for a test that takes its time.
    await admin.execute("UPDATE users SET locked_until = locked_until + interval '1 hour'")
    await admin.execute("UPDATE sign_in_guesses SET blocked_until = blocked_until + interval '1 hour'")
    for place in (home, abroad):
        assert (await refused(login(place, PASSWORD))).reason == "LOGIN_FAILED"

    if by == "reset":
        await reset_with(world, await reset_token(world, box, person))
    else:
        unlock = user_pb2.UnlockUserRequest(id=person.id)
        await world.identity.UnlockUser(unlock, metadata=administrator.metadata)

    for place in (abroad, home):
        await login(place, NEW if by == "reset" else PASSWORD)


async def test_no_access_token_from_before_a_reset_is_good_whatever_becomes_of_its_session(
    world: World, box: Mailbox, admin: Any
) -> None:
    person = await world.tenant()
    await reset_with(world, await reset_token(world, box, person))

    await admin.execute("UPDATE sessions SET revoked_at = NULL WHERE user_id = $1", person.id)

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata))
    assert refusal.reason == "SESSION_REVOKED"
