"""Limits of users and API keys that several calls use up: in a minute, in a month, and at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.identity.v1 import api_key_pb2
from atrium.model.v1 import chat_pb2, stream_pb2
from atrium.model.v1 import usage_pb2 as pb
from server.model.service import planning
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, said

Code = grpc.StatusCode

# The stub counts words: a call reads 4 and writes 3, each for 1 USD. What is known before is 20 bytes, 16 around them,
# and 10 to write.
MOST_TOKENS, TOKENS = 46, 7


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """When calls are made, as their limits see it: 30 seconds before a minute and a month are over, it stands still.

    The month is this one, which there is a place for calls of, as there is of the next.
    """
    following = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
    clock = [following.replace(microsecond=0) - timedelta(seconds=30)]
    monkeypatch.setattr(planning, "now", lambda: clock[0])
    return clock


async def _limit(world: World, person: Person, **fields: Any) -> None:
    await world.models.SetModelLimits(pb.SetModelLimitsRequest(**fields), metadata=person.metadata)


def _chat(world: World, metadata: Any) -> Any:
    request = chat_pb2.ChatRequest(**said("stub-fast-3", max_tokens=10))
    return world.models.Chat(request, metadata=metadata, timeout=NOT_FOR_EVER)


async def _key(world: World, person: Person) -> tuple[str, Any]:
    """The id of a new key of theirs, and the metadata of a call with it."""
    request = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"])
    made = await world.identity.CreateApiKey(request, metadata=person.metadata)
    return made.api_key.id, (("x-api-key", made.secret),)


@pytest.mark.parametrize(
    ("limit", "most", "kind", "used"),
    [
        ("tokens_per_minute", MOST_TOKENS + 2 * TOKENS, "tokens", 3 * TOKENS),
        ("requests_per_minute", 3, "requests", 3),
        ("monthly_tokens", MOST_TOKENS + 2 * TOKENS, "tokens", 3 * TOKENS),
        ("monthly_cost_usd", str(MOST_TOKENS + 2 * TOKENS), "cost", 3 * TOKENS),
    ],
)
async def test_what_several_calls_of_a_user_have_used_up_is_there_again_when_its_time_begins_anew(
    moment: list[datetime], gateway: World, limit: str, most: Any, kind: str, used: int
) -> None:
    ann = await gateway.tenant()
    user = await gateway.user(ann, "models:execute")
    await _limit(gateway, ann, user_id=user.id, **{limit: most})

    codes = [await _chat(gateway, user.metadata).code() for _ in range(3)]
    refusal = await refused(_chat(gateway, user.metadata))
    others = await _chat(gateway, ann.metadata).code()
    moment[0] += timedelta(seconds=29)
    still = await refused(_chat(gateway, user.metadata))
    moment[0] += timedelta(seconds=1)
    after = await _chat(gateway, user.metadata).code()

    told = refusal.detail(error_details_pb2.ErrorInfo).metadata
    assert (codes, others, after) == ([Code.OK] * 3, Code.OK, Code.OK)
    assert {(one.code, one.reason) for one in (refusal, still)} == {(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED")}
    assert refusal.detail(error_details_pb2.QuotaFailure).violations[0].subject == f"user/{user.id}"
    assert (told["kind"], told["used"]) == (kind, str(used))


@pytest.mark.parametrize("with_key", [False, True], ids=["of a user", "of a key"])
async def test_calls_at_once_are_limited_for_one_and_not_for_others(
    gateway: World, stub: OpenAIStub, with_key: bool
) -> None:
    ann = await gateway.tenant()
    user = await gateway.user(ann, "models:execute")
    if with_key:
        key_id, metadata = await _key(gateway, ann)
        subject = f"api_key/{key_id}"
        await _limit(gateway, ann, api_key_id=key_id, parallel_calls=2)
    else:
        metadata, subject = user.metadata, f"user/{user.id}"
        await _limit(gateway, ann, user_id=user.id, parallel_calls=2)
    request = stream_pb2.StreamChatRequest(**said("stub-silent"))
    running = [gateway.models.StreamChat(request, metadata=metadata) for _ in range(2)]
    waiting = [asyncio.ensure_future(stream.read()) for stream in running]
    async with asyncio.timeout(NOT_FOR_EVER):
        for _ in running:
            await stub.arrival()

    refusal = await refused(_chat(gateway, metadata))
    others = await _chat(gateway, ann.metadata).code()
    running[0].cancel()
    async with asyncio.timeout(NOT_FOR_EVER):
        while await _chat(gateway, metadata).code() is not Code.OK:
            pass
    running[1].cancel()
    await asyncio.wait(waiting)

    violations = refusal.detail(error_details_pb2.QuotaFailure).violations
    told = refusal.detail(error_details_pb2.ErrorInfo).metadata
    assert (refusal.code, refusal.reason, others) == (Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED", Code.OK)
    assert [violation.subject for violation in violations] == [subject]
    assert (told["kind"], told["limit"], told["reserved"]) == ("parallel", "2", "2")


async def test_what_can_never_fit_is_refused_without_a_time_to_come_back(gateway: World) -> None:
    ann = await gateway.tenant()
    await _limit(gateway, ann, user_id=ann.id, tokens_per_minute=MOST_TOKENS - 1)

    refusal = await refused(_chat(gateway, ann.metadata))

    assert refusal.reason == "LIMIT_REACHED"
    assert not any(isinstance(detail, error_details_pb2.RetryInfo) for detail in refusal.details)
