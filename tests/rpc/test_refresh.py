"""Refresh tokens: each is exchanged once, and one that is shown again ends its session."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from pydantic import SecretStr

from atrium.identity.v1 import session_pb2
from server.identity.tokens import RefreshToken
from tests.databases import Scratch
from tests.factories.world import Person, World, refused
from tests.servers import serving

OTHER_MASTER_KEY = SecretStr("B" * 43 + "=")


def _exchange(world: World, token: str) -> Any:
    return world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=token))


async def _exchanged(world: World, token: str, times: int) -> list[Any]:
    """What each of so many exchanges gave, one after the other."""
    replies = []
    for _ in range(times):
        replies.append((await _exchange(world, token)).tokens)
        token = replies[-1].refresh_token
    return replies


async def _reason(world: World, token: str) -> str:
    return (await refused(_exchange(world, token))).reason


async def _let_the_grace_pass(admin: Any) -> None:
    await admin.execute("UPDATE sessions SET rotated_at = now() - interval '6 seconds' WHERE rotated_at IS NOT NULL")


async def _twice(worlds: Sequence[World], token: str, admin: Any) -> str:
    """What the token is exchanged for at each of two servers, which is the same."""
    first = (await _exchange(worlds[0], token)).tokens.refresh_token
    # For as long as the test takes, the first exchange was a moment ago.
    await admin.execute("UPDATE sessions SET rotated_at = now() + interval '1 hour' WHERE rotated_at IS NOT NULL")
    again: str = (await _exchange(worlds[1], token)).tokens.refresh_token
    assert first == again
    return again


@pytest.mark.parametrize("exchanges", [1, 2, 5], ids=lambda number: f"{number} before")
async def test_a_token_that_was_exchanged_ends_its_session_however_long_ago(
    world: World, admin: Any, exchanges: int
) -> None:
    ann = await world.tenant()
    *_, last = await _exchanged(world, ann.tokens.refresh_token, exchanges)
    metadata = (("authorization", f"Bearer {last.access_token}"),)
    await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)
    await _let_the_grace_pass(admin)

    reuse = await refused(_exchange(world, ann.tokens.refresh_token))

    assert (reuse.code, reuse.reason) == (grpc.StatusCode.UNAUTHENTICATED, "REFRESH_TOKEN_REUSED")
    assert await _reason(world, last.refresh_token) == "REFRESH_TOKEN_INVALID"
    access = await refused(world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
    assert access.reason == "SESSION_REVOKED"


async def test_only_the_token_just_before_is_good_for_a_moment_longer(world: World) -> None:
    ann = await world.tenant()
    *_, last = await _exchanged(world, ann.tokens.refresh_token, 2)

    assert await _reason(world, ann.tokens.refresh_token) == "REFRESH_TOKEN_REUSED"
    assert await _reason(world, last.refresh_token) == "REFRESH_TOKEN_INVALID"


async def test_a_reuse_is_in_the_audit_log_with_who_and_from_where(world: World, admin: Any) -> None:
    ann = await world.tenant()
    await _exchanged(world, ann.tokens.refresh_token, 2)

    await refused(_exchange(world, ann.tokens.refresh_token))

    entry = await admin.fetchrow("SELECT * FROM audit_logs WHERE action = 'sessions.refresh'")
    session_id = str(RefreshToken.parse(ann.tokens.refresh_token).session_id)
    assert (str(entry["tenant_id"]), str(entry["user_id"])) == (ann.tenant_id, ann.id)
    assert (entry["resource_type"], entry["resource_id"]) == ("session", session_id)
    assert (entry["status"], entry["error_message"]) == ("failure", "REFRESH_TOKEN_REUSED")
    assert str(entry["ip_address"]).partition("/")[0] in ("127.0.0.1", "::1")
    assert await admin.fetchval("SELECT revoke_reason FROM sessions WHERE id = $1", session_id) == (
        "refresh token reused"
    )


async def test_a_reuse_ends_the_session_of_a_user_who_is_not_active_too(world: World, admin: Any) -> None:
    ann = await world.tenant()
    await _exchanged(world, ann.tokens.refresh_token, 2)
    await admin.execute("UPDATE users SET status = 'inactive' WHERE id = $1", ann.id)

    assert await _reason(world, ann.tokens.refresh_token) == "REFRESH_TOKEN_REUSED"


async def test_what_was_never_a_token_of_the_session_ends_nothing(world: World, admin: Any) -> None:
    ann = await world.tenant()
    other = await world.user(ann)
    _, last = await _exchanged(world, ann.tokens.refresh_token, 2)
    tenant, session, first = ann.tokens.refresh_token.split(".")
    raw = base64.urlsafe_b64decode(first)
    changed = [bytes(byte ^ (index == place) for index, byte in enumerate(raw)) for place in (0, 5, 6, 21, 22, 53)]
    forged = [
        "x",
        "A" * 43,
        "A" * 72,
        "é" * 72,
        f"{first}=",
        f" {first}",
        first[:-1],
        other.tokens.refresh_token.split(".")[2],
        str(RefreshToken.generate(*_place(ann), bytes(32))).split(".")[2],
        *(base64.urlsafe_b64encode(mutant).decode() for mutant in changed),
    ]
    await _let_the_grace_pass(admin)

    reasons = {await _reason(world, f"{tenant}.{session}.{secret}") for secret in forged}
    good = last.refresh_token.split(".")[2]
    for written in (f"{{{tenant}}}.{session}", f"{ann.tenant_id}.{session}", f"{tenant}.urn:uuid:{session}"):
        reasons.add(await _reason(world, f"{written}.{good}"))

    assert reasons == {"REFRESH_TOKEN_INVALID"}
    assert await admin.fetchval("SELECT count(*) FROM audit_logs WHERE action = 'sessions.refresh'") == 0
    await _exchange(world, last.refresh_token)


def _place(person: Person) -> Any:
    token = RefreshToken.parse(person.tokens.refresh_token)
    return token.tenant_id, token.session_id


async def test_parallel_refreshes_get_one_and_the_same_token_and_log_nobody_out(world: World) -> None:
    ann = await world.tenant()

    replies = await asyncio.gather(*(_exchange(world, ann.tokens.refresh_token) for _ in range(5)))

    (following,) = {reply.tokens.refresh_token for reply in replies}
    await _exchange(world, following)
    for reply in replies:
        metadata = (("authorization", f"Bearer {reply.tokens.access_token}"),)
        await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)


async def test_tokens_of_the_form_before_this_one_are_exchanged_and_their_reuse_is_known(
    world: World, admin: Any
) -> None:
    ann = await world.tenant()
    tenant, session, _ = ann.tokens.refresh_token.split(".")
    random = "x" * 43
    digest = hashlib.sha256(random.encode()).hexdigest()
    await admin.execute("UPDATE sessions SET refresh_hash = $1 WHERE id = $2", digest, session)
    former = f"{tenant}.{session}.{random}"

    first = await _twice((world, world), former, admin)
    await _exchange(world, first)
    await _let_the_grace_pass(admin)

    assert await _reason(world, first) == "REFRESH_TOKEN_REUSED"


@asynccontextmanager
async def _server(scratch: Scratch, **settings: Any) -> AsyncIterator[World]:
    async with (
        serving(scratch.settings(**settings)) as (app, port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield World(channel, await app.founding.first_platform_administrator() or ("", ""))


async def test_a_master_key_is_replaced_and_nobody_is_logged_out(scratch: Scratch, admin: Any) -> None:
    old = scratch.settings().master_key
    assert old is not None
    async with (
        _server(scratch, other_master_keys=(OTHER_MASTER_KEY,)) as before,
        _server(scratch, master_key=OTHER_MASTER_KEY, other_master_keys=(old,)) as after,
    ):
        ann = await before.tenant()
        mine = ann.tokens.refresh_token

        # One of two refreshes at once goes to a server that has the new key first, and the other to one that has not.
        first = await _twice((before, after), mine, admin)
        second = await _twice((after, before), first, admin)
        await _exchange(before, second)

        assert await _reason(after, mine) == "REFRESH_TOKEN_REUSED", "whichever key it was made with"
