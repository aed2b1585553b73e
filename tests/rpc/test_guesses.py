"""Who waits for whose guesses: by address, by account and by both, however many come at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import grpc
import orjson
import pytest

from atrium.identity.v1 import password_pb2, session_pb2, user_pb2
from server.identity.store.throttle import FREE_OF_ACCOUNT, FREE_OF_ADDRESS, LONGEST_SECONDS
from tests.databases import Scratch, somebody_waits
from tests.factories.world import PASSWORD, Person, World, refused
from tests.servers import serving

HERE = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
OFFICE, ELSEWHERE = "198.51.100.7", "203.0.113.9"
NEW = "an engine of many wheels"


@asynccontextmanager
async def _behind_a_proxy(scratch: Scratch) -> AsyncIterator[World]:
    """A server that takes this machine for a proxy, so that a call comes from where it says."""
    async with (
        serving(scratch.settings(trusted_proxies=HERE)) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


@pytest.fixture
async def world(scratch: Scratch) -> AsyncIterator[World]:
    async with _behind_a_proxy(scratch) as made:
        yield made


def _login(world: World, person: Person, password: str = PASSWORD, *, by: str, login: str = "", slug: str = "") -> Any:
    request = session_pb2.LoginRequest(tenant=slug or person.tenant, login=login or person.username, password=password)
    return world.identity.Login(request, metadata=(("x-forwarded-for", by),))


async def _fails(call: Any) -> None:
    assert (await refused(call)).reason == "LOGIN_FAILED"


async def _over(admin: Any) -> None:
    """Every wait is over."""
    await admin.execute("UPDATE users SET locked_until = now()")
    await admin.execute("UPDATE sign_in_throttle SET blocked_until = now()")
    await admin.execute("UPDATE sign_in_guesses SET blocked_until = now()")


async def _long(admin: Any) -> None:
    """Whoever has to wait, if only for a second, does so for as long as the test takes."""
    await admin.execute("UPDATE users SET locked_until = locked_until + interval '1 hour'")
    for table in ("sign_in_throttle", "sign_in_guesses"):
        await admin.execute(f"UPDATE {table} SET blocked_until = blocked_until + interval '1 hour'")


@pytest.mark.parametrize("how", ["account", "guesses", "nothing"])
async def test_the_audit_log_says_whether_an_unlocking_ended_a_wait(world: World, admin: Any, how: str) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    if how == "account":
        await admin.execute(
            "UPDATE users SET login_attempts = 9, locked_until = now() + interval '1 hour' WHERE id = $1", person.id
        )
    elif how == "guesses":
        await admin.execute(
            "INSERT INTO sign_in_guesses (tenant_id, user_id, address, blocked_until) "
            "VALUES ($1, $2, '192.0.2.1', now() + interval '1 hour')",
            person.tenant_id,
            person.id,
        )

    await world.identity.UnlockUser(user_pb2.UnlockUserRequest(id=person.id), metadata=administrator.metadata)

    row = await admin.fetchrow("SELECT old_value, new_value FROM audit_logs WHERE action = 'users.unlock'")
    old, new = (orjson.loads(value) for value in row)
    assert (old.pop("sign_ins_wait"), new.pop("sign_ins_wait")) == (how != "nothing", False)
    assert old == new
    assert "login_attempts" not in old


async def test_a_sign_in_is_noted_with_where_it_came_from(world: World, admin: Any) -> None:
    person = await world.tenant()

    await _login(world, person, by=OFFICE)

    addresses = (
        await admin.fetchval("SELECT host(last_login_ip) FROM users WHERE id = $1", person.id),
        await admin.fetchval("SELECT host(ip_address) FROM sessions WHERE user_id = $1 ORDER BY id DESC", person.id),
        await admin.fetchval("SELECT host(ip_address) FROM audit_logs WHERE user_id = $1 ORDER BY id DESC", person.id),
    )
    assert addresses == (OFFICE,) * 3


async def test_what_is_tried_beside_them_holds_up_nobody_who_signed_in_from_there(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    colleague, newcomer = await world.user(administrator), await world.user(administrator)
    await _login(world, colleague, by=OFFICE)

    for _ in range(FREE_OF_ADDRESS + 1):
        await _fails(_login(world, administrator, "wrong", login="nobody", by=OFFICE))
    await _long(admin)

    await _fails(_login(world, newcomer, by=OFFICE))
    await _login(world, colleague, by=OFFICE)
    await _over(admin)
    await _login(world, newcomer, by=OFFICE)


async def test_guesses_from_where_the_account_was_signed_in_from_wait_longer_each_time(
    world: World, admin: Any
) -> None:
    person = await world.tenant()
    await _login(world, person, by=OFFICE)
    for _ in range(FREE_OF_ACCOUNT - 1):
        await _fails(_login(world, person, "wrong", by=OFFICE))

    waits = []
    for _ in range(12):
        await _over(admin)
        await _fails(_login(world, person, "wrong", by=OFFICE))
        wait = "SELECT extract(epoch FROM blocked_until - updated_at) FROM sign_in_guesses WHERE user_id = $1"
        waits.append(float(await admin.fetchval(wait, person.id)))
    await _fails(_login(world, person, by=OFFICE))

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, LONGEST_SECONDS, LONGEST_SECONDS]
    assert await admin.fetchval("SELECT login_attempts FROM users WHERE id = $1", person.id) == 0
    await _login(world, person, by=ELSEWHERE)
    await _over(admin)
    await _login(world, person, by=OFFICE)
    assert await admin.fetchval("SELECT count(*) FROM sign_in_guesses") == 0


async def test_sign_ins_to_tenants_that_are_not_there_hold_up_nobody(world: World, admin: Any) -> None:
    platform = await world.platform()

    for number in range(FREE_OF_ADDRESS + 1):
        await _fails(_login(world, platform, "wrong", slug=f"nowhere-{number}", by=OFFICE))

    await _login(world, platform, world.administrator[1], by=OFFICE)


async def test_right_passwords_do_not_count(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    people = [await world.user(administrator) for _ in range(3)]
    for _ in range(3):
        await _fails(_login(world, administrator, "wrong", login="nobody", by=OFFICE))

    for person in people:
        await _login(world, person, by=OFFICE)

    query = "SELECT failures FROM sign_in_throttle WHERE tenant_id = $1 AND address = $2"
    assert await admin.fetchval(query, administrator.tenant_id, OFFICE) == 3


@pytest.mark.parametrize(("second", "one"), [("2001:db8:1:2:ffff::2", True), ("2001:db8:1:3::1", False)])
async def test_ipv6_addresses_of_one_customer_are_one(world: World, admin: Any, second: str, *, one: bool) -> None:
    administrator = await world.tenant()
    newcomer, colleague = await world.user(administrator), await world.user(administrator)
    await _login(world, colleague, by="2001:db8:1:2::1")
    for _ in range(FREE_OF_ADDRESS):
        await _fails(_login(world, administrator, "wrong", login="nobody", by="2001:db8:1:2::1"))
    await _long(admin)

    codes = [await _login(world, person, by=second).code() for person in (newcomer, colleague)]

    OK, NO = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED  # noqa: N806
    assert codes == [NO if one else OK, OK]


async def test_of_a_burst_as_many_are_looked_at_as_are_allowed(scratch: Scratch, admin: Any) -> None:
    async with _behind_a_proxy(scratch) as world, _behind_a_proxy(scratch) as second:
        person = await world.tenant()
        await admin.execute("UPDATE users SET login_attempts = 8 WHERE id = $1", person.id)

        # From many addresses, so that none of them waits for its turn behind another.
        await asyncio.gather(
            *(
                _fails(_login(server, person, "wrong", by=f"203.0.113.{number}"))
                for number in range(15)
                for server in (world, second)
            )
        )

        assert await admin.fetchval("SELECT login_attempts FROM users WHERE id = $1", person.id) == 9
        await _fails(_login(second, person, by=ELSEWHERE))
        await _over(admin)
        await _login(second, person, by=ELSEWHERE)


async def test_who_signs_in_many_times_at_once_is_no_burst_of_guesses(world: World, admin: Any) -> None:
    person = await world.tenant()

    alone = await asyncio.gather(*(_login(world, person, by=OFFICE).code() for _ in range(20)))
    colleagues = [await world.user(person) for _ in range(FREE_OF_ADDRESS + 4)]
    together = await asyncio.gather(*(_login(world, colleague, by=OFFICE).code() for colleague in colleagues))

    assert {*alone, *together} == {grpc.StatusCode.OK}


def _change(world: World, person: Person, current: str = PASSWORD, by: str = ELSEWHERE) -> Any:
    request = password_pb2.ChangePasswordRequest(current_password=current, new_password=NEW)
    return world.identity.ChangePassword(request, metadata=(*person.metadata, ("x-forwarded-for", by)))


async def test_whoever_holds_a_token_cannot_guess_the_password_either(world: World, admin: Any) -> None:
    person = await world.tenant()
    for _ in range(FREE_OF_ACCOUNT):
        assert (await refused(_change(world, person, "wrong"))).reason == "PASSWORD_INCORRECT"
    await _long(admin)

    waiting = await refused(_change(world, person))
    entries = await admin.fetch("SELECT * FROM audit_logs WHERE action = 'users.change_password'")
    await _over(admin)
    await _change(world, person)

    assert (waiting.code, waiting.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PASSWORD_INCORRECT")
    assert {
        (str(entry["user_id"]), entry["status"], entry["error_message"], str(entry["ip_address"])) for entry in entries
    } == {(person.id, "failure", "PASSWORD_INCORRECT", ELSEWHERE)}
    assert len(entries) == FREE_OF_ACCOUNT + 1
    await world.sign_in(person.tenant, person.username, NEW)


async def test_nor_does_a_thief_keep_the_password_from_being_changed(world: World) -> None:
    person = await world.tenant()
    await _login(world, person, by=OFFICE)
    for _ in range(FREE_OF_ACCOUNT + 1):
        await refused(_change(world, person, "wrong"))

    await _change(world, person, by=OFFICE)


async def test_a_new_password_that_is_refused_does_not_count(world: World, admin: Any) -> None:
    person = await world.tenant()
    weak = password_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password="password1")

    for _ in range(FREE_OF_ACCOUNT + 1):
        refusal = await refused(world.identity.ChangePassword(weak, metadata=person.metadata))
        assert refusal.reason == "PASSWORD_GUESSABLE"

    await _change(world, person)


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [
        ("UPDATE users SET password_hash = 'another'", "PASSWORD_INCORRECT"),
        ("UPDATE sessions SET revoked_at = now()", "SESSION_REVOKED"),
        ("UPDATE users SET status = 'inactive'", "SESSION_REVOKED"),
        ("UPDATE users SET deleted_at = now()", "SESSION_REVOKED"),
    ],
    ids=["the password", "the session", "the state", "the user"],
)
async def test_a_change_of_password_does_not_undo_what_came_before_it(
    world: World, scratch: Scratch, admin: Any, meanwhile: str, reason: str
) -> None:
    person = await world.tenant()
    await _login(world, person, by=OFFICE)
    async with scratch.connect() as other, asyncio.timeout(20):
        async with other.transaction():
            await other.execute("SELECT FROM users WHERE id = $1 FOR UPDATE", person.id)
            changing = asyncio.ensure_future(refused(_change(world, person, by=OFFICE)))
            await somebody_waits(admin)
            column = "user_id" if "sessions" in meanwhile else "id"
            await other.execute(f"{meanwhile} WHERE {column} = $1", person.id)
            former = await other.fetchval("SELECT password_hash FROM users WHERE id = $1", person.id)
        refusal = await changing

    assert refusal.reason == reason
    assert await admin.fetchval("SELECT password_hash FROM users WHERE id = $1", person.id) == former


async def test_whose_user_is_locked_while_their_password_is_checked_is_in_the_audit_log(
    world: World, scratch: Scratch, admin: Any
) -> None:
    person = await world.tenant()
    await _login(world, person, by=OFFICE)
    async with scratch.connect() as other, asyncio.timeout(20):
        async with other.transaction():
            await other.execute("UPDATE users SET status = 'locked' WHERE id = $1", person.id)
            signing_in = asyncio.ensure_future(refused(_login(world, person, by=OFFICE)))
            await somebody_waits(admin)
        refusal = await signing_in

    entry = await admin.fetchrow("SELECT * FROM audit_logs WHERE action = 'sessions.login' ORDER BY id DESC LIMIT 1")
    assert (refusal.reason, entry["status"], str(entry["user_id"])) == ("LOGIN_FAILED", "failure", person.id)
    assert orjson.loads(entry["details"]) == {"tenant": person.tenant, "login": person.username}
