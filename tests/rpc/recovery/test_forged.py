"""Codes of mails and refresh tokens whose secret somebody has made up: told to the tenant, as other forgeries are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from atrium.identity.v1 import session_pb2
from tests.factories.world import World, refused
from tests.fakes.smtp import Mailbox
from tests.rpc.recovery.mails import reset_token, reset_with, verification_token, verify_with


def _made_up(token: str) -> str:
    """The token with another secret."""
    head, _, secret = token.rpartition(".")
    return f"{head}.{'A' if secret[0] != 'A' else 'B'}{secret[1:]}"


async def _told(admin: Any, count: Callable[[dict[str, Any]], int], at_least: int) -> list[Any]:
    """What was told of forgeries, once it is of so many: it is told beside the calls."""
    async with asyncio.timeout(10):
        while True:
            rows = await admin.fetch("SELECT * FROM audit_logs WHERE action = 'access.forge' ORDER BY id")
            found = [{**row, "details": orjson.loads(row["details"])} for row in rows]
            if sum(count(entry["details"]) for entry in found) >= at_least:
                return found


async def test_a_refresh_token_with_a_wrong_secret_is_told_to_the_tenant_of_its_session(
    world: World, admin: Any
) -> None:
    ann, other = await world.tenant(), await world.tenant()
    request = session_pb2.RefreshTokenRequest(refresh_token=ann.tokens.refresh_token)
    await world.identity.RefreshToken(request)
    await admin.execute("UPDATE sessions SET rotated_at = now() + interval '1 hour' WHERE rotated_at IS NOT NULL")
    await world.identity.RefreshToken(request)  # the one before is good for a moment longer, and nobody's forgery
    await world.identity.Logout(session_pb2.LogoutRequest(), metadata=ann.metadata)
    ended = await refused(world.identity.RefreshToken(request))

    refusal = await refused(
        world.identity.RefreshToken(
            session_pb2.RefreshTokenRequest(refresh_token=_made_up(other.tokens.refresh_token)),
            metadata=(("x-forwarded-for", "198.51.100.9"), ("x-request-id", "my-request")),
        )
    )

    (entry,) = await _told(admin, lambda details: details["refresh_tokens"], 1)
    assert (ended.reason, refusal.reason) == ("REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_INVALID")
    assert (str(entry["tenant_id"]), entry["user_id"], entry["status"]) == (other.tenant_id, None, "failure")
    assert (str(entry["ip_address"]), entry["request_id"]) == ("198.51.100.9", "my-request")
    assert entry["error_message"] == "REFRESH_TOKEN_INVALID"
    assert entry["details"] == {"refresh_tokens": 1, "method": "/atrium.identity.v1.IdentityService/RefreshToken"}
    await world.identity.RefreshToken(session_pb2.RefreshTokenRequest(refresh_token=other.tokens.refresh_token))


async def test_a_code_with_a_wrong_secret_is_told_and_one_that_was_good_once_is_not(
    world: World, box: Mailbox, admin: Any
) -> None:
    ann, other = await world.tenant(), await world.tenant()
    used = await verification_token(world, box, ann)
    twins = [await verify_with(world, used).code() for _ in range(2)]
    verification = await verification_token(world, box, other)
    reset = await reset_token(world, box, other)

    refusals = [
        await refused(reset_with(world, _made_up(reset))),
        await refused(verify_with(world, _made_up(verification))),
        await refused(verify_with(world, _made_up(reset))),  # which is no code of that kind
    ]

    # One network's are told once a minute: which of them the first entry tells of is not said.
    entries = await _told(admin, lambda details: details["one_time_tokens"], 1)
    assert [code.name for code in twins] == ["OK", "INVALID_ARGUMENT"]
    assert {refusal.reason for refusal in refusals} == {"ONE_TIME_TOKEN_INVALID"}
    assert {str(entry["tenant_id"]) for entry in entries} == {other.tenant_id}
    assert {entry["error_message"] for entry in entries} == {"ONE_TIME_TOKEN_INVALID"}
    assert sum(entry["details"]["one_time_tokens"] for entry in entries) <= 2
    await verify_with(world, verification)
    await reset_with(world, reset)


async def test_of_several_who_use_a_code_at_once_none_is_taken_for_a_forger(
    world: World, box: Mailbox, admin: Any
) -> None:
    ann, other = await world.tenant(), await world.tenant()
    reset, verification = await reset_token(world, box, ann), await verification_token(world, box, ann)

    await asyncio.gather(*[verify_with(world, verification).code() for _ in range(10)])
    await asyncio.gather(*[reset_with(world, reset).code() for _ in range(10)])
    # What is seen later is told later: with this, all of those are told that would be.
    await refused(verify_with(world, _made_up(await verification_token(world, box, other))))

    entries = await _told(admin, lambda details: details["one_time_tokens"], 1)
    assert {str(entry["tenant_id"]) for entry in entries} == {other.tenant_id}
