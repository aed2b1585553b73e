"""Signing keys are replaced while people sign in and call, and nobody notices; a compromised one is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import grpc
import jwt
import pytest

from atrium.identity.v1 import session_pb2
from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.service.signing import LEAD, SigningKeys
from server.identity.signing_keys import KeyRing, SigningKey
from server.identity.store import keys as store
from server.identity.store.keys import CHANGED
from server.identity.tokens import AccessTokens
from server.kernel.clock import now
from tests.databases import Scratch
from tests.factories.world import PASSWORD, World, refused
from tests.processes import atrium, environment
from tests.servers import serving

WHO = session_pb2.WhoAmIRequest()
JWKS = session_pb2.GetJwksRequest()
CODE = grpc.StatusCode
BOUND_SECONDS = 20
# Ends what servers ask the database with, and not what they listen with, nor (the argument) a connection of the test's.
SERVING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND usename = 'atrium_app' AND application_name <> 'atrium listener' "
    "AND pid <> $1"
)


@pytest.fixture
def signing(database: Database, scratch: Scratch) -> SigningKeys:
    settings = scratch.settings()
    return SigningKeys(database, AuditLog(database), settings.master_keys, settings.access_life)


@asynccontextmanager
async def _another(scratch: Scratch, world: World) -> AsyncIterator[World]:
    """A second server on the same database."""
    async with serving(scratch.settings()) as (_, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield World(channel, world.administrator)


async def _pass(admin: Any, time: timedelta) -> None:
    """So much time passes for the keys, and every server is told."""
    await admin.execute(
        "UPDATE signing_keys SET not_before = not_before - $1::interval, retires_at = retires_at - $1::interval", time
    )
    await admin.execute(f"NOTIFY {CHANGED}")


async def _kids(world: World) -> set[str]:
    return {key.kid for key in (await world.identity.GetJwks(JWKS)).keys}


async def _until_kids(world: World, number: int) -> set[str]:
    async def reached() -> bool:
        return len(await _kids(world)) == number

    await _until(reached)
    return await _kids(world)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(BOUND_SECONDS):
        while not await holds():  # noqa: ASYNC110 - it happens in the server
            await asyncio.sleep(0.02)


def _bearing(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _kid(tokens: Any) -> str:
    return str(jwt.get_unverified_header(tokens.access_token)["kid"])


async def test_keys_are_replaced_without_one_failed_call(
    world: World, scratch: Scratch, signing: SigningKeys, admin: Any
) -> None:
    ann = await world.tenant()
    rounds, done = [0, 0], asyncio.Event()

    async def use(me: int, here: World, there: World) -> None:
        """Signs in at one server, goes to the other, and so on."""
        while not done.is_set():
            tokens = (await here.sign_in(ann.tenant, "admin")).tokens
            for server in (there, here, there):
                await server.identity.WhoAmI(WHO, metadata=_bearing(tokens.access_token))
                refresh = session_pb2.RefreshTokenRequest(refresh_token=tokens.refresh_token)
                tokens = (await server.identity.RefreshToken(refresh)).tokens
            rounds[me] += 1

    async def both_go_on() -> None:
        before = list(rounds)

        async def did() -> bool:
            return min(after - then for after, then in zip(rounds, before, strict=True)) >= 2

        await _until(did)

    async def signs_with(server: World, kid: str) -> bool:
        return _kid((await server.sign_in(ann.tenant, "admin")).tokens) == kid

    async with _another(scratch, world) as other, asyncio.TaskGroup() as group:
        group.create_task(use(0, world, other))
        group.create_task(use(1, other, world))
        await both_go_on()
        for _ in range(3):
            old = await _kids(world)
            key = await signing.rotate()
            for server in (world, other):
                assert await _until_kids(server, len(old) + 1) == {*old, key.kid}
                assert _kid((await server.sign_in(ann.tenant, "admin")).tokens) in old, "it is told of before it signs"
            await _pass(admin, LEAD)
            for server in (world, other):
                await _until(partial(signs_with, server, key.kid))
            await both_go_on()
            await _pass(admin, timedelta(minutes=21))  # by now the last token of the old key has expired
            for server in (world, other):
                assert await _until_kids(server, 1) == {key.kid}
            await both_go_on()
        done.set()


async def test_a_compromised_key_is_refused_at_once_and_sessions_go_on(world: World, signing: SigningKeys) -> None:
    ann = await world.tenant()
    await world.identity.WhoAmI(WHO, metadata=ann.metadata)  # remembered from here on

    key = await signing.rotate(compromised=True)

    async def heard() -> bool:
        return await _kids(world) == {key.kid}

    await _until(heard)  # and not for one key, which there was before
    assert (await refused(world.identity.WhoAmI(WHO, metadata=ann.metadata))).reason == "TOKEN_INVALID"
    refresh = session_pb2.RefreshTokenRequest(refresh_token=ann.tokens.refresh_token)
    fresh = (await world.identity.RefreshToken(refresh)).tokens
    assert _kid(fresh) == key.kid
    assert (await world.identity.WhoAmI(WHO, metadata=_bearing(fresh.access_token))).user_id == ann.id


async def test_a_compromised_key_is_refused_though_the_database_was_away_when_that_was_told(
    world: World, signing: SigningKeys, database: Database, admin: Any
) -> None:
    ann = await world.tenant()
    async with database.global_tx() as tx:
        ((ours,),) = await tx.run("SELECT pg_backend_pid()")
    await admin.execute("UPDATE pg_database SET datconnlimit = 0 WHERE datname = current_database()")
    await admin.execute(SERVING, ours)

    key = await signing.rotate(compromised=True)

    async def heard() -> bool:
        return await world.identity.WhoAmI(WHO, metadata=ann.metadata).code() is CODE.UNAVAILABLE

    async def read() -> bool:
        return await world.identity.WhoAmI(WHO, metadata=ann.metadata).code() is CODE.UNAUTHENTICATED

    await _until(heard)
    assert (await refused(world.identity.GetJwks(JWKS))).reason == "DATABASE_UNAVAILABLE", "not what may be withdrawn"
    await admin.execute("UPDATE pg_database SET datconnlimit = -1 WHERE datname = current_database()")
    await _until(read)
    assert await _kids(world) == {key.kid}
    assert _kid((await world.sign_in(ann.tenant, "admin")).tokens) == key.kid


async def test_where_there_is_no_key_to_sign_with_nobody_is_signed_in_and_it_is_an_outage(
    world: World, admin: Any
) -> None:
    ann = await world.tenant()
    await admin.execute("UPDATE signing_keys SET retires_at = now()")
    await admin.execute(f"NOTIFY {CHANGED}")

    await _until_kids(world, 0)

    login = session_pb2.LoginRequest(tenant=ann.tenant, login="admin", password=PASSWORD)
    refresh = session_pb2.RefreshTokenRequest(refresh_token=ann.tokens.refresh_token)
    for call in (world.identity.Login(login), world.identity.RefreshToken(refresh)):
        assert (await refused(call)).code is CODE.UNAVAILABLE
    assert await admin.fetchval("SELECT count(*) FROM sessions WHERE user_id = $1", ann.id) == 1


async def test_a_server_that_has_not_heard_of_a_key_finds_it(
    world: World, scratch: Scratch, database: Database
) -> None:
    ann = await world.tenant()
    settings = scratch.settings()
    key = SigningKey.generate(now())
    async with database.global_tx() as tx:
        await store.add(tx, key, settings.master_keys)  # and nobody is told

    tokens = AccessTokens(settings.token_issuer, settings.token_audience)
    claims = jwt.decode(ann.tokens.access_token, options={"verify_signature": False})
    ids = UUID(claims["tid"]), UUID(claims["sub"]), UUID(claims["sid"])
    made = tokens.issue(key, *ids, claims["epoch"], now(), timedelta(minutes=1))

    assert (await world.identity.WhoAmI(WHO, metadata=_bearing(made))).user_id == ann.id
    assert await _kids(world) > {key.kid}


def test_the_newest_key_signs_that_may_and_none_that_is_withdrawn() -> None:
    moment = now()
    old, new, withdrawn = (SigningKey.generate(moment - timedelta(hours=age)) for age in (3, 2, 1))
    coming = SigningKey.generate(moment + timedelta(hours=1))
    gone = replace(withdrawn, retires_at=moment - timedelta(seconds=1))

    ring = KeyRing([old, new, gone, coming], lambda: moment)

    assert ring.signing() is new
    assert (ring.find(old.kid), ring.find(coming.kid), ring.find(gone.kid)) == (old, coming, None)
    assert ring.accepted() == [old, new, coming]
    assert KeyRing([coming], lambda: moment).signing() is coming, "a clock that is behind is no reason not to serve"


async def test_a_key_is_replaced_when_it_is_old_enough_and_once(
    signing: SigningKeys, database: Database, admin: Any
) -> None:
    assert await signing.rotate_after(timedelta(days=90)) is None, "there is none to replace"
    await signing.load()
    assert await signing.rotate_after(timedelta(days=90)) is None
    await admin.execute("UPDATE signing_keys SET not_before = now() - interval '91 days'")

    made = await asyncio.gather(*(signing.rotate_after(timedelta(days=90)) for _ in range(8)))

    (key,) = [one for one in made if one is not None]
    rows = await admin.fetch("SELECT kid, retires_at - now() AS life FROM signing_keys ORDER BY not_before")
    assert [row["kid"] for row in rows][1:] == [key.kid]
    assert timedelta(minutes=79) < rows[0]["life"] < timedelta(minutes=81)
    assert rows[1]["life"] is None
    (entry,) = await admin.fetch("SELECT * FROM audit_logs WHERE action = 'signing_keys.rotate'")
    assert (entry["resource_id"], entry["actor_kind"]) == (key.kid, "system")


async def test_an_operator_replaces_it_by_a_command(world: World, scratch: Scratch) -> None:
    async with atrium(environment(scratch), "signing-key", "rotate") as process:
        found = await process.line(r"^The key (\S+) signs from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC on\.$")
        assert await process.end() == 0

    assert found[1] in await _until_kids(world, 2)
