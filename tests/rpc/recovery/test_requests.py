"""Resetting a password and verifying an address, with mail that really goes out."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import error_details_pb2
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from structlog.testing import capture_logs

from atrium.identity.v1 import email_verification_pb2, password_pb2, session_pb2, user_pb2
from server.db.database import Database
from server.identity.store import one_time_tokens
from server.jobs.queue import enqueue
from server.kernel.grace import Grace
from server.mail.outgoing import mailer
from server.work import working
from tests.databases import Scratch
from tests.factories.world import PASSWORD, World, refused
from tests.fakes.smtp import Mailbox
from tests.jobs.working import until
from tests.rpc.recovery.mails import (
    INVALID,
    NEW,
    TOKEN,
    mailed_token,
    outcome,
    request_reset,
    request_verification,
    reset_token,
    reset_with,
    token_in,
    user_of,
    verification_token,
    verify_with,
)
from tests.servers import serving


@pytest.mark.parametrize("login", ["admin", "ADMIN@{tenant}.Example"])
async def test_whoever_reads_the_mail_sets_another_password(world: World, box: Mailbox, login: str) -> None:
    person = await world.tenant()
    await request_reset(world, person.tenant, login.format(tenant=person.tenant))
    mail = await box.next()

    await reset_with(world, token_in(mail))

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

    await reset_with(world, await reset_token(world, box, person))

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
        await request_reset(world, tenant, login)
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
        await asyncio.wait_for(request_reset(world, person.tenant, "admin"), 10)
        assert box.arrived.empty()

    await reset_with(world, await mailed_token(box))


async def test_mail_that_is_not_taken_now_is_tried_again(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    box.answer = "451 Later"

    await request_reset(world, person.tenant, "admin")
    await until(admin, "SELECT count(*) FROM tenant_jobs WHERE failed_runs > 0", 1)

    box.answer = "250 OK"
    await reset_with(world, token_in(await box.next()))
    await until(admin, "SELECT count(*) FROM tenant_jobs", 0)


async def test_mail_that_is_refused_for_good_is_told_to_the_operator_and_not_tried_again(
    world: World, box: Mailbox, admin: Any
) -> None:
    person = await world.tenant()
    box.answer = "550 No"

    with capture_logs() as lines:
        assert await request_reset(world, person.tenant, "admin") == password_pb2.RequestPasswordResetResponse()
        await until(admin, "SELECT count(*) FROM one_time_tokens", 1)
        await until(admin, "SELECT count(*) FROM tenant_jobs", 0)

    (refusal,) = [line for line in lines if line["event"] == "mail refused"]
    assert (refusal["user_id"], refusal["code"]) == (UUID(person.id), 550)
    assert TOKEN.search(str(refusal)) is None
    box.answer = "250 OK"
    await reset_with(world, await reset_token(world, box, person))


async def test_mail_outlives_the_server_that_was_asked_for_it(scratch: Scratch, box: Mailbox) -> None:
    settings = scratch.settings(smtp_url=SecretStr(box.url), mail_from="Atrium <no-reply@atrium.example>")
    async with serving(settings.model_copy(update={"worker": False})) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            world = World(channel, administrator)
            person = await world.tenant()
            await request_verification(world, person)
    assert box.arrived.empty()

    async with serving(settings) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await verify_with(World(channel, administrator), await mailed_token(box))


async def test_mail_is_left_to_a_worker_that_can_send_it(scratch: Scratch, box: Mailbox, admin: Any) -> None:
    settings = scratch.settings(smtp_url=SecretStr(box.url), mail_from="Atrium <no-reply@atrium.example>", worker=False)
    async with serving(settings) as (app, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        world = World(channel, await app.founding.first_platform_administrator() or ("", ""))
        person = await world.tenant()
        await request_verification(world, person)
        registry, others = CollectorRegistry(), scratch.settings()
        async with Database.open(others) as database, working(others, database, Grace(5), registry, None, None):
            async with database.global_tx() as tx:
                await enqueue(tx, "prune/1")
            await until(admin, "SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint = 'prune/1'", 0)
        assert await admin.fetchval("SELECT status FROM tenant_jobs") == "admitted"

        async with (
            Database.open(settings) as database,
            working(settings, database, Grace(5), CollectorRegistry(), mailer(settings, console=False), None),
        ):
            await verify_with(world, await mailed_token(box))


@pytest.mark.parametrize(("worker", "sends"), [(True, True), (False, False)])
def test_mail_is_written_into_the_log_where_a_developer_looks_on(scratch: Scratch, worker: bool, sends: bool) -> None:
    settings = scratch.settings(worker=worker)

    assert (mailer(settings, console=settings.worker) is not None) == sends
    assert mailer(scratch.settings(environment="production"), console=True) is None


async def test_a_token_that_is_over_is_not_mailed(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    box.answer = "451 Later"
    await request_reset(world, person.tenant, "admin")
    await until(admin, "SELECT count(*) FROM tenant_jobs WHERE failed_runs > 0", 1)

    await admin.execute("UPDATE one_time_tokens SET expires_at = now()")
    box.answer = "250 OK"

    await until(admin, "SELECT count(*) FROM tenant_jobs", 0)
    assert box.arrived.empty()


async def test_only_active_people_are_sent_mail(world: World, box: Mailbox, admin: Any) -> None:
    administrator = await world.tenant()
    inactive, service, person = [await world.user(administrator) for _ in range(3)]
    change = user_pb2.UpdateUserRequest(id=inactive.id, state=user_pb2.User.STATE_INACTIVE)
    await world.identity.UpdateUser(change, metadata=administrator.metadata)
    await admin.execute("UPDATE users SET kind = 'service' WHERE id = $1", service.id)

    for somebody in (inactive, service, person):
        await request_reset(world, somebody.tenant, somebody.username)

    assert (await box.next())["To"] == f"{person.username}@example.com"
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_a_person_without_a_password_gets_their_first_by_mail(world: World, box: Mailbox) -> None:
    administrator = await world.tenant()
    user = user_pb2.CreateUserRequest(username="invited", email="invited@example.com", locale="en-GB")
    await world.identity.CreateUser(user, metadata=administrator.metadata)
    await request_reset(world, administrator.tenant, "invited")
    mail = await box.next()

    await reset_with(world, token_in(mail))

    assert mail["Subject"] == "Reset your password"
    await world.sign_in(administrator.tenant, "invited", NEW)


async def test_an_account_is_sent_five_mails_an_hour_and_not_told_of_the_limit(
    world: World, box: Mailbox, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, other = await world.tenant(), await world.tenant()
    for _ in range(5):
        last = await reset_token(world, box, person)
    found: asyncio.Queue[int] = asyncio.Queue()
    count = one_time_tokens.count

    async def noted(*arguments: Any) -> int:
        counted = await count(*arguments)
        found.put_nowait(counted)
        return counted

    monkeypatch.setattr(one_time_tokens, "count", noted)

    for _ in range(3):
        assert await request_reset(world, person.tenant, "admin") == password_pb2.RequestPasswordResetResponse()
    # They are looked into after they are answered.
    assert [await asyncio.wait_for(found.get(), 20) for _ in range(3)] == [5] * 3

    await reset_token(world, box, other)  # and nothing came before it
    await admin.execute("UPDATE one_time_tokens SET created_at = created_at - interval '1 hour'")
    await reset_with(world, last)  # those without a mail have not made it void
    await reset_token(world, box, person)


async def test_many_requests_at_once_are_counted_together(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()

    await asyncio.gather(*[request_verification(world, person) for _ in range(12)])

    await until(admin, "SELECT count(*) FROM tenant_jobs", 0)
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 5
    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens WHERE expires_at > now()") == 1
    # Those that were void before they were mailed did not come, and the others in whichever order they were taken.
    codes = [await verify_with(world, await mailed_token(box)).code() for _ in range(box.arrived.qsize())]
    assert codes.count(grpc.StatusCode.OK) == 1


async def test_a_caller_verifies_their_own_address(world: World, box: Mailbox) -> None:
    person = await world.tenant()
    before = await user_of(world, person)
    token = await verification_token(world, box, person)

    await verify_with(world, token)

    after = await user_of(world, person)
    assert (before.email_verified, after.email_verified) == (False, True)
    assert await outcome(verify_with(world, token)) == INVALID


async def test_a_verified_address_is_sent_nothing(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await verify_with(world, await verification_token(world, box, person))

    assert await request_verification(world, person) == email_verification_pb2.RequestEmailVerificationResponse()

    assert await admin.fetchval("SELECT count(*) FROM one_time_tokens") == 1


async def test_requests_and_uses_are_audited(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()
    await verify_with(world, await verification_token(world, box, person))
    await reset_with(world, await reset_token(world, box, person))

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
        await request_reset(world, person.tenant, "admin")
        await request_verification(world, person)

    users = [await asyncio.wait_for(user_of(world, person), 10) for person in people]

    assert [user.id for user in users] == [person.id for person in people]
    box.open.set()
    for _ in range(12):
        await box.next()


async def test_who_asks_again_and_again_keeps_nobody_else_from_asking(world: World, box: Mailbox, admin: Any) -> None:
    person = await world.tenant()

    async with admin.transaction():
        await admin.execute("LOCK TABLE tenants")  # nobody's request can be looked into
        calls = [asyncio.create_task(request_reset(world, person.tenant, "nobody")) for _ in range(21)]
        (refused_at_once,), _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        another = asyncio.create_task(request_reset(world, person.tenant, "admin", by="203.0.113.9"))
        refusal = await refused(refused_at_once)
    await another
    await asyncio.wait(calls)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MAIL_BUSY")
    assert refusal.detail(error_details_pb2.RetryInfo).retry_delay.seconds == 1
    assert (await box.next())["To"] == f"admin@{person.tenant}.example"
    assert [call for call in calls if call.exception() is not None] == [refused_at_once]
