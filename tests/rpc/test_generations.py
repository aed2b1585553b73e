"""Streams that go on without their caller, and are taken up again."""

from __future__ import annotations

import asyncio
from statistics import median
from time import perf_counter
from typing import Any
from uuid import uuid4

import grpc
import pytest

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import stream_pb2
from atrium.tenant.v1 import tenant_config_pb2
from server.model.store import generations as store
from tests.databases import Scratch
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, kinds_of, logs_of, stream_from

Code = grpc.StatusCode
ENDED_WITHIN = 0.1
"""How soon the provider sees that nobody listens: the median of five, since a busy machine delays any one."""


async def test_a_stream_is_taken_up_again_on_any_server_after_its_connection_is_lost(
    gateways: tuple[World, World], stub: OpenAIStub
) -> None:
    ann = await gateways[0].tenant()
    stream = stream_from(gateways[0], ann, "stub-slow-30", resumable=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if len(seen) == 5:
            break
    stream.cancel()
    generation = seen[0].started.generation_id

    rest = [
        [event async for event in stream_from(world, ann, generation_id=generation, after_seq=seen[-1].seq)]
        for world in reversed(gateways)
    ]

    (log,) = await logs_of(gateways[1], ann)
    for events in rest:
        assert [event.seq for event in events] == list(range(6, 6 + len(events)))
        assert kinds_of(events)[-2:] == ["usage", "completed"]
        text = "".join(event.delta.text for event in [*seen, *events])
        assert text == "".join(f"t{number} " for number in range(30))
    assert (log.status, log.usage.completion_tokens, len(stub.exchanges)) == (log.STATUS_SUCCESS, 30, 1)


async def test_a_stream_that_nobody_wants_any_more_is_ended_from_any_server(
    gateways: tuple[World, World], stub: OpenAIStub
) -> None:
    ann = await gateways[0].tenant()
    colleague = await gateways[0].user(ann, "models:execute")
    stream = stream_from(gateways[0], ann, "stub-stall-2", resumable=True)
    events = aiter(stream)
    generation = (await anext(events)).started.generation_id
    assert kinds_of([await anext(events) for _ in range(2)]) == ["delta"] * 2
    request = stream_pb2.CancelGenerationRequest(generation_id=generation)

    foreign = await refused(gateways[0].models.CancelGeneration(request, metadata=colleague.metadata))
    hidden = await refused(stream_from(gateways[0], colleague, generation_id=generation))
    await gateways[1].models.CancelGeneration(request, metadata=ann.metadata)
    rest = [event async for event in events]
    async with asyncio.timeout(NOT_FOR_EVER):
        await (await stub.arrival()).left.wait()
        while not (logs := await logs_of(gateways[0], ann)):
            pass

    assert [refusal.reason for refusal in (foreign, hidden)] == ["GENERATION_NOT_FOUND"] * 2
    assert rest[-1].failed.reason == error_reason_pb2.ERROR_REASON_GENERATION_CANCELLED
    assert (logs[0].status, logs[0].usage.completion_tokens) == (logs[0].STATUS_CANCELLED, 2)


async def test_a_stream_whose_server_is_gone_says_so(gateway: World, scratch: Scratch) -> None:
    ann = await gateway.tenant()
    async with scratch.connect(scratch.owner_url) as owner:
        generation = await owner.fetchval(
            "INSERT INTO generations (tenant_id, user_id, kept_until, expires_at)"
            " VALUES ($1, $2, now() - interval '1 second', now() + interval '1 hour') RETURNING id",
            ann.tenant_id,
            ann.id,
        )

    events = [event async for event in stream_from(gateway, ann, generation_id=str(generation))]

    assert [(event.seq, event.failed.reason) for event in events] == [
        (1, error_reason_pb2.ERROR_REASON_GENERATION_LOST)
    ]


async def test_a_resumable_stream_ends_with_what_its_provider_answered_wrong(gateway: World) -> None:
    ann = await gateway.tenant()

    events = [event async for event in stream_from(gateway, ann, "stub-wrong-index-2", resumable=True)]

    (log,) = await logs_of(gateway, ann)
    invalid = error_reason_pb2.ERROR_REASON_MODEL_RESPONSE_INVALID
    assert kinds_of(events) == ["started", "delta", "delta", "usage", "failed"]
    assert (events[-1].failed.reason, log.error_reason, log.status) == (invalid, invalid, log.STATUS_ERROR)


async def test_what_is_wrong_with_a_resumable_call_is_a_status(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(stream_from(gateway, ann, "nobody", resumable=True))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_a_stream_that_is_lost_before_its_first_event_goes_on_and_is_read_with_the_same_request(
    gateways: tuple[World, World], stub: OpenAIStub, admin: Any
) -> None:
    ann = await gateways[0].tenant()
    asked = {"resumable": True, "generation_id": str(uuid4())}
    lost = stream_from(gateways[0], ann, "stub-slow-30", **asked)
    await stub.arrival()
    lost.cancel()

    read = [[event async for event in stream_from(world, ann, "stub-slow-30", **asked)] for world in gateways]
    rest = [event async for event in stream_from(gateways[1], ann, "stub-slow-30", **asked, after_seq=20)]

    text = "".join(f"t{number} " for number in range(30))
    for events in read:
        assert [event.seq for event in events] == list(range(1, 34))
        assert kinds_of(events) == ["started", *["delta"] * 30, "usage", "completed"]
        assert "".join(event.delta.text for event in events) == text
        assert events[0].started.generation_id == asked["generation_id"]
    assert rest == read[0][20:]
    assert len(stub.exchanges) == len(await logs_of(gateways[0], ann)) == 1
    assert await admin.fetchval("SELECT count(*) FROM generations") == 1


async def test_twins_on_two_servers_read_one_stream(gateways: tuple[World, World], stub: OpenAIStub) -> None:
    ann = await gateways[0].tenant()
    asked = {"resumable": True, "generation_id": str(uuid4())}

    async def read(world: World) -> list[stream_pb2.StreamChatResponse]:
        return [event async for event in stream_from(world, ann, "stub-slow-30", **asked)]

    first, *others = await asyncio.gather(*(read(world) for world in gateways * 3))

    assert kinds_of(first)[-1] == "completed"
    assert others == [first] * 5
    assert len(stub.exchanges) == 1


async def test_an_id_is_one_users_and_one_requests(gateways: tuple[World, World], stub: OpenAIStub) -> None:
    ann, stranger = await gateways[0].tenant(), await gateways[0].tenant()
    colleague = await gateways[0].user(ann, "models:execute")
    asked = {"resumable": True, "generation_id": str(uuid4())}
    mine = [event async for event in stream_from(gateways[0], ann, "stub-fast-3", **asked)]

    for world in gateways:
        another = await refused(stream_from(world, ann, "stub-fast-3", **asked, temperature=1))
        assert (another.code, another.reason) == (Code.ABORTED, "GENERATION_ID_REUSED")
    theirs = [
        [event async for event in stream_from(gateways[1], person, "stub-fast-3", **asked, temperature=1)]
        for person in (colleague, stranger)
    ]
    begun = await refused(
        stream_from(gateways[0], ann, "stub-fast-3", resumable=True, generation_id=str(uuid4()), after_seq=2)
    )

    assert [kinds_of(events) for events in theirs] == [kinds_of(mine)] * 2
    assert len({events[0].started.call_log_id for events in (mine, *theirs)}) == 3
    assert (begun.code, begun.reason) == (Code.NOT_FOUND, "GENERATION_NOT_FOUND")
    assert len(stub.exchanges) == 3


async def test_a_stream_that_comes_to_nothing_before_its_first_event_is_a_status_each_time(
    gateways: tuple[World, World], stub: OpenAIStub
) -> None:
    ann, platform = await gateways[0].tenant(), await gateways[0].platform()
    asked = {"resumable": True, "generation_id": str(uuid4())}
    config = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=ann.tenant_id, monthly_token_quota=1)
    await gateways[0].tenants.UpdateTenantConfig(config, metadata=platform.metadata)

    refusals = [await refused(stream_from(world, ann, "stub-fast-3", **asked)) for world in (gateways[0], *gateways)]
    gone = await refused(stream_from(gateways[1], ann, generation_id=asked["generation_id"]))
    config.monthly_token_quota = 1_000_000
    await gateways[0].tenants.UpdateTenantConfig(config, metadata=platform.metadata)
    events = [event async for event in stream_from(gateways[0], ann, "stub-fast-3", **asked)]

    assert {(refusal.code, refusal.reason) for refusal in refusals} == {(Code.RESOURCE_EXHAUSTED, "LIMIT_REACHED")}
    assert (gone.code, gone.reason) == (Code.NOT_FOUND, "GENERATION_NOT_FOUND")
    assert kinds_of(events)[-1] == "completed"
    assert len(stub.exchanges) == 1


@pytest.mark.usefixtures("patient_listener")
@pytest.mark.parametrize("through", [0, 1], ids=["itself", "another"])
async def test_a_server_ends_a_stream_as_soon_as_it_is_told_to(
    gateways: tuple[World, World], stub: OpenAIStub, monkeypatch: pytest.MonkeyPatch, through: int
) -> None:
    """Servers that look at what is written down find no cancellation there: they can only be told."""
    looked = store.keep

    async def keep(*arguments: Any, ended: bool) -> bool:
        await looked(*arguments, ended=ended)
        return False

    monkeypatch.setattr(store, "keep", keep)
    ann = await gateways[0].tenant()
    delays = []
    for _ in range(5):
        generation = str(uuid4())
        events = aiter(stream_from(gateways[0], ann, "stub-stall-2", resumable=True, generation_id=generation))
        await anext(events)
        exchange = await stub.arrival()
        request = stream_pb2.CancelGenerationRequest(generation_id=generation)

        told = perf_counter()
        await gateways[through].models.CancelGeneration(request, metadata=ann.metadata)

        async with asyncio.timeout(NOT_FOR_EVER):
            await exchange.left.wait()
            rest = [event async for event in events]
        delays.append(exchange.left_at - told)
        assert rest[-1].failed.reason == error_reason_pb2.ERROR_REASON_GENERATION_CANCELLED
    assert median(delays) < ENDED_WITHIN


async def test_what_lies_behind_the_last_event_of_a_stream_that_has_ended_is_refused(
    gateways: tuple[World, World],
) -> None:
    ann = await gateways[0].tenant()
    asked = {"resumable": True, "generation_id": str(uuid4())}
    stream = aiter(stream_from(gateways[0], ann, "stub-slow-30", **asked))
    await anext(stream)
    early = [
        asyncio.create_task(refused(stream_from(world, ann, "stub-slow-30", **asked, after_seq=34)))
        for world in gateways
    ]
    last = [event async for event in stream][-1].seq

    refusals = await asyncio.gather(*early)
    for world in gateways:
        for fields in (asked, {"generation_id": asked["generation_id"]}):
            name = "stub-slow-30" if "resumable" in fields else ""
            assert [event async for event in stream_from(world, ann, name, **fields, after_seq=last)] == []
            refusals.append(await refused(stream_from(world, ann, name, **fields, after_seq=last + 1)))

    assert last == 33
    assert {(refusal.code, refusal.reason) for refusal in refusals} == {(Code.INVALID_ARGUMENT, "INVALID_REQUEST")}
    assert [refusal.fields for refusal in refusals] == [["after_seq"]] * 6
