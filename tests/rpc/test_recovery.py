"""Resetting a password and verifying an address, with mail that really goes out."""

from __future__ import annotations

import asyncio
import re
import traceback
from collections.abc import AsyncIterator
from email.message import EmailMessage
from ipaddress import ip_network
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from pydantic import SecretStr

from atrium.identity.v1 import email_verification_pb2, password_pb2, session_pb2, user_pb2
from tests.databases import Scratch
from tests.factories.world import PASSWORD, Person, World, refused
from tests.fakes.smtp import Mailbox, mailbox
from tests.servers import serving

NEW = "an engine of many wheels"
TOKEN = re.compile(r"\b[0-9a-f]{32}\.[0-9a-f]{32}\.[\w-]{43}")
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "ONE_TIME_TOKEN_INVALID", ["token"])


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    """Where the server's mail arrives."""
    async with mailbox() as made:
        yield made


@pytest.fixture
async def world(scratch: Scratch, box: Mailbox) -> AsyncIterator[World]:
    """A server that sends mail to the box, and takes this machine for a proxy."""
    settings = scratch.settings(
        smtp_url=SecretStr(box.url),
        mail_from="Atrium <no-reply@atrium.example>",
        trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
    )
    async with serving(settings) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(channel, administrator)


async def _request_reset(world: World, tenant: str, login: str, by: str = "198.51.100.1") -> Any:
    request = password_pb2.RequestPasswordResetRequest(tenant=tenant, login=login)
    return await world.identity.RequestPasswordReset(request, metadata=(("x-forwarded-for", by),))


def _reset(world: World, token: str, password: str = NEW) -> Any:
    return world.identity.ResetPassword(password_pb2.ResetPasswordRequest(token=token, new_password=password))


async def _request_verification(world: World, person: Person) -> Any:
    return await world.identity.RequestEmailVerification(
        email_verification_pb2.RequestEmailVerificationRequest(), metadata=person.metadata
    )


def _verify(world: World, token: str) -> Any:
    return world.identity.VerifyEmail(email_verification_pb2.VerifyEmailRequest(token=token))


async def _user(world: World, person: Person) -> user_pb2.User:
    reply = await world.identity.GetUser(user_pb2.GetUserRequest(id=person.id), metadata=person.metadata)
    user: user_pb2.User = reply.user
    return user


async def _token(box: Mailbox) -> str:
    """The token in the next mail."""
    return _token_in(await box.next())


def _token_in(mail: EmailMessage) -> str:
    (found,) = TOKEN.findall(mail.get_content())
    return str(found)


async def _reset_token(world: World, box: Mailbox, person: Person) -> str:
    await _request_reset(world, person.tenant, person.username)
    return await _token(box)


async def _verification_token(world: World, box: Mailbox, person: Person) -> str:
    await _request_verification(world, person)
    return await _token(box)


async def _outcome(call: Any) -> tuple[Any, ...]:
    refusal = await refused(call)
    return refusal.code, refusal.reason, refusal.fields


@pytest.mark.parametrize("login", ["admin", "ADMIN@{tenant}.Example"])
async def test_whoever_reads_the_mail_sets_another_password(world: World, box: Mailbox, login: str) -> None:
    person = await world.tenant()
    await _request_reset(world, person.tenant, login.format(tenant=person.tenant))
    mail = await box.next()

    await _reset(world, _token_in(mail))

    assert (mail["To"], mail["Subject"]) == (f"admin@{person.tenant}.example", "重置密码")
    assert (await world.sign_in(person.tenant, "admin", NEW)).id == person.id
    old = await refused(
        world.identity.Login(session_pb2.LoginRequest(tenant=person.tenant, login="admin", password=PASSWORD))
    )
    assert old.reason == "LOGIN_FAILED"


async def test_a_reset_ends_every_session_of_the_user_and_no_other(world: World, box: Mailbox) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    elsewhere = await world.sign_in(person.tenant, person.username)

    await _reset(world, await _reset_token(world, box, person))

    for session in (person, elsewhere):
        access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=session.metadata))
        request = session_pb2.RefreshTokenRequest(refresh_token=session.tokens.refresh_token)
        refresh = await refused(world.identity.RefreshToken(request))
        assert (access.reason, refresh.reason) == ("SESSION_REVOKED", "REFRESH_TOKEN_INVALID")
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=administrator.metadata)


async def test_a_request_is_answered_the_same_for_an_account_and_for_none(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    box.open.clear()  # nobody's mail can be delivered before all are answered

    replies = [
        await _request_reset(world, tenant, login)
        for tenant, login in [(person.tenant, "admin"), (person.tenant, "nobody"), ("nowhere", "admin")]
    ]

    assert replies == [password_pb2.RequestPasswordResetResponse()] * 3
    box.open.set()
    assert (await box.next())["To"] == f"admin@{person.tenant}.example"
    assert box.arrived.empty()


async def test_a_request_is_answered_before_the_account_is_looked_at(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()

    async with admin.transaction():
        await admin.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", person.id)
        await asyncio.wait_for(_request_reset(world, person.tenant, "admin"), 10)
        assert box.arrived.empty()

    await _reset(world, await _token(box))


async def test_mail_that_cannot_be_delivered_is_told_to_the_operator_without_what_stood_in_it(
    world: World, box: Mailbox
) -> None:
    person = await world.tenant()
    failed: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.put_nowait(context))
    box.refuses = True

    assert await _request_reset(world, person.tenant, "admin") == password_pb2.RequestPasswordResetResponse()

    context = await asyncio.wait_for(failed.get(), 10)
    assert context["message"] == "background task password reset failed"
    assert TOKEN.search("".join(traceback.format_exception(context["exception"]))) is None
    box.refuses = False
    await _reset(world, await _reset_token(world, box, person))


async def test_only_active_people_are_sent_mail(world: World, box: Mailbox, admin: Any) -> None:
    administrator = await world.tenant()
    inactive, service, person = [await world.user(administrator) for _ in range(3)]
    change = user_pb2.UpdateUserRequest(id=inactive.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    await admin.execute("UPDATE users SET kind = 'service' WHERE id = $1", service.id)

    for somebody in (inactive, service, person):
        await _request_reset(world, somebody.tenant, somebody.username)

    assert (await box.next())["To"] == f"{person.username}@example.com"
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_a_person_without_a_password_gets_their_first_by_mail(world: World, box: Mailbox) -> None:
    administrator = await world.tenant()
    user = user_pb2.CreateUserRequest(username="invited", email="invited@example.com", locale="en-GB")
    await world.identity.CreateUser(user, metadata=administrator.metadata)
    await _request_reset(world, administrator.tenant, "invited")
    mail = await box.next()

    await _reset(world, _token_in(mail))

    assert mail["Subject"] == "Reset your password"
    await world.sign_in(administrator.tenant, "invited", NEW)


async def test_of_ten_uses_at_once_one_wins(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    reset = await _reset_token(world, box, person)
    verification = await _verification_token(world, box, person)

    resets = await asyncio.gather(*[_reset(world, reset, f"{NEW} {n}").code() for n in range(10)])
    verifications = await asyncio.gather(*[_verify(world, verification).code() for _ in range(10)])

    for codes in (resets, verifications):
        assert sorted(code.name for code in codes) == ["INVALID_ARGUMENT"] * 9 + ["OK"]


async def test_a_token_is_good_for_its_purpose_alone(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    reset = await _reset_token(world, box, person)
    verification = await _verification_token(world, box, person)

    assert await _outcome(_reset(world, verification)) == INVALID
    assert await _outcome(_verify(world, reset)) == INVALID
    await _verify(world, verification)
    await _reset(world, reset)


async def test_what_is_not_the_token_is_refused(world: World, box: Mailbox) -> None:
    person, other = await world.tenant(), await world.tenant()
    token = await _reset_token(world, box, person)
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
    ):
        assert await _outcome(_reset(world, wrong)) == INVALID, wrong
        assert await _outcome(_verify(world, wrong)) == INVALID, wrong
    await _reset(world, token)


async def test_a_token_ends_with_its_time(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    reset = await _reset_token(world, box, person)
    verification = await _verification_token(world, box, person)
    lives = await admin.fetch(
        "SELECT purpose, extract(hour FROM expires_at - created_at)::int + "
        "extract(day FROM expires_at - created_at)::int * 24 FROM one_time_tokens"
    )
    await admin.execute("UPDATE one_time_tokens SET expires_at = now()")

    assert dict(lives) == {"reset_password": 1, "verify_email": 24}
    assert await _outcome(_reset(world, reset)) == INVALID
    assert await _outcome(_verify(world, verification)) == INVALID


async def test_a_later_token_makes_the_one_before_void(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    resets = [await _reset_token(world, box, person) for _ in range(2)]
    verifications = [await _verification_token(world, box, person) for _ in range(2)]

    assert await _outcome(_reset(world, resets[0])) == INVALID
    assert await _outcome(_verify(world, verifications[0])) == INVALID
    await _verify(world, verifications[1])
    await _reset(world, resets[1])


async def test_another_address_or_password_makes_a_token_void(world: World, box: Mailbox) -> None:
    administrator = await world.tenant()
    movers = [await world.user(administrator) for _ in range(2)]
    tokens = [await _reset_token(world, box, movers[0]), await _verification_token(world, box, movers[1])]
    for mover in movers:
        change = user_pb2.UpdateUserRequest(id=mover.id, email=f"moved-{mover.username}@example.com")
        await world.identity.UpdateUser(change, metadata=administrator.metadata)
    person = await world.user(administrator)
    reset = await _reset_token(world, box, person)
    password = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW)
    await world.identity.ChangePassword(password, metadata=person.metadata)

    assert await _outcome(_reset(world, tokens[0])) == INVALID
    assert await _outcome(_verify(world, tokens[1])) == INVALID
    assert await _outcome(_reset(world, reset)) == INVALID


async def test_a_user_who_is_not_active_any_more_can_use_no_token(world: World, box: Mailbox, admin: Any) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    reset = await _reset_token(world, box, person)
    verification = await _verification_token(world, box, person)
    change = user_pb2.UpdateUserRequest(id=person.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    of_tenant = await _reset_token(world, box, administrator)
    await admin.execute("UPDATE tenants SET status = 'suspended' WHERE id = $1", administrator.tenant_id)

    for call in (_reset(world, reset), _verify(world, verification), _reset(world, of_tenant)):
        assert await _outcome(call) == INVALID


async def test_a_password_that_is_refused_leaves_the_token_good(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    token = await _reset_token(world, box, person)

    for password in ("password1", "admin-2026", person.tenant, "e\u0301" * 4):
        refusal = await refused(_reset(world, token, password))
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["new_password"]), password
    await _reset(world, token)


async def test_an_account_is_sent_five_mails_an_hour_and_not_told_of_the_limit(
    world: World, box: Mailbox, admin: Any
) -> None:
    person, other = await world.tenant(), await world.tenant()
    for _ in range(5):
        last = await _reset_token(world, box, person)

    for _ in range(3):
        assert await _request_reset(world, person.tenant, "admin") == password_pb2.RequestPasswordResetResponse()

    await _reset_token(world, box, other)  # and nothing came before it
    await admin.execute("UPDATE one_time_tokens SET created_at = created_at - interval '1 hour'")
    await _reset(world, last)  # those without a mail have not made it void
    await _reset_token(world, box, person)


async def test_many_requests_at_once_are_counted_together(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()

    await asyncio.gather(*[_request_verification(world, person) for _ in range(12)])

    for _ in range(5):
        await box.next()
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 5
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens WHERE expires_at > now()") == 1


async def test_old_tokens_do_not_pile_up(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await _reset_token(world, box, person)
    await admin.execute("UPDATE one_time_tokens SET created_at = created_at - interval '25 hours'")

    await _reset_token(world, box, person)

    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_a_caller_verifies_their_own_address(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    before = await _user(world, person)
    token = await _verification_token(world, box, person)

    await _verify(world, token)

    after = await _user(world, person)
    assert (before.email_verified, after.email_verified) == (False, True)
    assert await _outcome(_verify(world, token)) == INVALID


async def test_a_verified_address_is_sent_nothing(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await _verify(world, await _verification_token(world, box, person))

    assert await _request_verification(world, person) == email_verification_pb2.RequestEmailVerificationResponse()

    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_what_is_kept_is_not_the_token(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    secret = (await _reset_token(world, box, person)).rpartition(".")[2]

    rows = await admin.fetch("SELECT to_jsonb(t)::text FROM one_time_tokens t")
    audited = await admin.fetch("SELECT to_jsonb(a)::text FROM audit_logs a")

    assert rows
    assert not [row for (row,) in [*rows, *audited] if secret in row]


async def test_requests_and_uses_are_audited(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await _verify(world, await _verification_token(world, box, person))
    await _reset(world, await _reset_token(world, box, person))

    rows = await admin.fetch(
        "SELECT action, user_id::text, resource_id, status FROM audit_logs WHERE tenant_id = $1 AND action ~ $2 "
        "ORDER BY id",
        person.tenant_id,
        "reset|verif",
    )

    assert [tuple(row) for row in rows] == [
        (f"users.{action}", person.id, person.id, "success")
        for action in ("request_email_verification", "verify_email", "request_password_reset", "reset_password")
    ]


async def test_without_a_mail_server_production_says_so_for_every_account(scratch: Scratch) -> None:
    async with serving(scratch.settings(environment="production")) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            world = World(channel, administrator)
            person = await world.platform()
            calls = [
                world.identity.RequestPasswordReset(
                    password_pb2.RequestPasswordResetRequest(tenant="platform", login="admin")
                ),
                world.identity.RequestPasswordReset(
                    password_pb2.RequestPasswordResetRequest(tenant="nowhere", login="x")
                ),
                world.identity.RequestEmailVerification(
                    email_verification_pb2.RequestEmailVerificationRequest(), metadata=person.metadata
                ),
            ]
            refusals = [await refused(call) for call in calls]

    assert {(refusal.code, refusal.reason) for refusal in refusals} == {
        (grpc.StatusCode.FAILED_PRECONDITION, "MAIL_NOT_CONFIGURED")
    }


async def test_no_connection_is_held_while_mail_is_sent(world: World, box: Mailbox) -> None:
    people = [await world.tenant() for _ in range(6)]  # more than there are connections
    box.open.clear()
    for person in people:
        await _request_reset(world, person.tenant, "admin")
        await _request_verification(world, person)

    users = [await asyncio.wait_for(_user(world, person), 10) for person in people]

    assert [user.id for user in users] == [person.id for person in people]
    box.open.set()
    for _ in range(12):
        await box.next()


async def test_who_asks_again_and_again_keeps_nobody_else_from_asking(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await admin.execute(
        "INSERT INTO users (tenant_id, username, email) SELECT $1, 'u' || n, 'u' || n || '@example.com' "
        "FROM generate_series(1, 4) n",
        person.tenant_id,
    )
    box.open.clear()
    for n in range(20):
        await _request_reset(world, person.tenant, f"u{n % 4 + 1}")

    refusal = await refused(_request_reset(world, person.tenant, "nobody"))
    await _request_reset(world, person.tenant, "admin", by="203.0.113.9")

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MAIL_BUSY")
    box.open.set()
    mails = [await box.next() for _ in range(21)]
    assert f"admin@{person.tenant}.example" in [mail["To"] for mail in mails]


async def test_no_access_token_from_before_a_reset_is_good_whatever_becomes_of_its_session(
    world: World, box: Mailbox, admin: Any
) -> None:
    person = await world.tenant()
    await _reset(world, await _reset_token(world, box, person))

    await admin.execute("UPDATE sessions SET revoked_at = NULL WHERE user_id = $1", person.id)

    refusal = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=person.metadata))
    assert refusal.reason == "SESSION_REVOKED"


async def test_mail_beyond_what_can_be_on_its_way_is_refused_and_told_when_to_come_again(
    world: World, box: Mailbox, admin: Any
) -> None:
    person = await world.tenant()
    await admin.execute(
        "INSERT INTO users (tenant_id, username, email) SELECT $1, 'u' || n, 'u' || n || '@example.com' "
        "FROM generate_series(1, 20) n",
        person.tenant_id,
    )
    box.open.clear()
    for n in range(100):
        await _request_reset(world, person.tenant, f"u{n % 20 + 1}", by=f"198.51.100.{n % 5}")

    for login in ("u1", "nobody"):
        refusal = await refused(_request_reset(world, person.tenant, login, by="203.0.113.9"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MAIL_BUSY")
        assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1

    box.open.set()
    for _ in range(100):
        await box.next()
    await _request_reset(world, person.tenant, "admin")
    await box.next()
