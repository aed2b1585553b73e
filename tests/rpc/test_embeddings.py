"""Vectors: in batches, in their order, given again, and as many as can be had."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import call_log_pb2, embedding_pb2, model_pb2
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_embeddings import vector
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, chat_with, embed_with, logs_of, vectors_of

Code = grpc.StatusCode
HOUR = timedelta(hours=1)
INVALID = error_reason_pb2.ERROR_REASON_MODEL_RESPONSE_INVALID
UNAVAILABLE = error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE
TEXTS = [*(str(number) for number in range(512)), "down", "out"]
"""Two batches, the second of which says that it is down."""


async def test_many_texts_go_in_batches_and_come_back_in_their_order(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    texts = [f"text {number % 1500}" for number in range(2048)]

    reply = await embed_with(gateway, ann, "stub-embed-8", texts)

    assert vectors_of(reply) == [vector(text, 8) for text in texts]
    assert sorted(len(exchange.body["input"]) for exchange in stub.exchanges) == [476, 512, 512]
    assert reply.usage.prompt_tokens == 3000


async def test_no_batch_has_more_bytes_than_providers_take(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    longest = [f"{number} " + "é" * 32_767 for number in range(9)]
    texts = [*longest, "short", "x" * 65_535]

    reply = await embed_with(gateway, ann, "stub-embed-8", texts)

    batches = [exchange.body["input"] for exchange in stub.exchanges]
    assert {len(text.encode()) for text in longest} == {65_536}
    assert vectors_of(reply) == [vector(text, 8) for text in texts]
    assert sorted(batches, key=lambda batch: texts.index(batch[0])) == [texts[:4], texts[4:8], texts[8:]]


async def test_a_text_that_is_refused_does_not_keep_the_others_from_theirs(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    texts = ["a", "b", "bad", "c", "d", "e", "f"]

    reply = await embed_with(gateway, ann, "stub-embed-most-4", texts)
    alone = await refused(embed_with(gateway, ann, "stub-embed-most-4", ["bad"]))

    rejected = error_reason_pb2.ERROR_REASON_MODEL_REQUEST_REJECTED
    assert vectors_of(reply) == [[] if text == "bad" else vector(text, 8) for text in texts]
    assert [embedding.error_reason for embedding in reply.embeddings] == [0, 0, rejected, 0, 0, 0, 0]
    assert alone.reason == "MODEL_REQUEST_REJECTED"
    assert [log.status for log in await logs_of(gateway, ann)] == [
        call_log_pb2.CallLog.STATUS_SUCCESS,
        call_log_pb2.CallLog.STATUS_ERROR,
    ]


async def test_a_provider_that_refuses_whatever_it_is_asked_is_not_asked_for_each_text(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()

    refusal = await refused(embed_with(gateway, ann, "stub-embed-most-0", [str(number) for number in range(2048)]))

    assert refusal.reason == "MODEL_REQUEST_REJECTED"
    assert len(stub.exchanges) < 150


async def test_a_provider_that_takes_one_text_at_a_time_is_asked_for_each(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    texts = [str(number) for number in range(600)]

    reply = await embed_with(gateway, ann, "stub-embed-most-1", texts)

    assert vectors_of(reply) == [vector(text, 8) for text in texts]


async def _change(world: World, name: str, **fields: Any) -> None:
    """Changes the model of that name."""
    platform = await world.platform()
    found = (await world.models.ListModels(model_pb2.ListModelsRequest(), metadata=platform.metadata)).models
    model_id = next(model.id for model in found if model.name == name)
    await world.models.UpdateModel(model_pb2.UpdateModelRequest(id=model_id, **fields), metadata=platform.metadata)


async def test_vectors_of_a_deprecated_model_come_with_a_warning_that_names_its_replacement(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    await _change(gateway, "stub-embed-8", state=model_pb2.Model.STATE_DEPRECATED, replacement="stub-embed-most-4")

    made, given_again = [await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR) for _ in range(2)]
    fresh = await embed_with(gateway, ann, "stub-embed-most-4", ["a"])

    said = model_pb2.Deprecation(model="stub-embed-8", replacement="stub-embed-most-4")
    assert (made.deprecation, given_again.deprecation) == (said, said)
    assert vectors_of(made) == vectors_of(given_again) == [vector("a", 8)]
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-embed-8", "stub-embed-most-4"]
    assert not fresh.HasField("deprecation")


async def test_a_disabled_model_makes_no_vectors(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    await _change(gateway, "stub-embed-8", state=model_pb2.Model.STATE_DISABLED)

    refusals = [await refused(embed_with(gateway, ann, "stub-embed-8", [text], cache_ttl=HOUR)) for text in ("a", "b")]

    assert [(one.code, one.reason) for one in refusals] == [(Code.FAILED_PRECONDITION, "MODEL_DISABLED")] * 2
    assert len(stub.exchanges) == 1


async def test_vectors_are_given_again_by_their_text_and_model(gateway: World, stub: OpenAIStub) -> None:
    ann, other = await gateway.tenant(), await gateway.tenant()

    await embed_with(gateway, ann, "stub-embed-8", ["a", "b"], cache_ttl=HOUR)
    reply = await embed_with(gateway, ann, "stub-embed-8", ["b", "c", "a"], cache_ttl=HOUR)
    await embed_with(gateway, ann, "stub-embed-8", ["c", "a"], cache_ttl=HOUR)
    await embed_with(gateway, other, "stub-embed-8", ["a"], cache_ttl=HOUR)
    await embed_with(gateway, ann, "stub-embed-8", ["a"])

    assert vectors_of(reply) == [vector(text, 8) for text in ("b", "c", "a")]
    assert [exchange.body["input"] for exchange in stub.exchanges] == [["a", "b"], ["c"], ["a"], ["a"]]
    assert [log.cached for log in await logs_of(gateway, ann)] == [False, False, True, False]


async def test_a_vector_is_given_again_for_its_own_model_only(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "supports_streaming": False}
    other = await make_model(gateway, stub.base_url, "stub-embed-16", dimensions=16, **embeds)

    names = ["stub-embed-8", "stub-embed-8", other, other]

    replies = [await embed_with(gateway, ann, name, ["a"], cache_ttl=HOUR) for name in names]

    assert [vectors_of(reply) for reply in replies] == [[vector("a", 8)]] * 2 + [[vector("a", 16)]] * 2
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-embed-8", "stub-embed-16"]


async def test_a_model_that_was_changed_gives_no_vector_again(gateway: World, stub: OpenAIStub) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    found = (await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    change = model_pb2.UpdateModelRequest(
        id=next(model.id for model in found if model.name == "stub-embed-8"), upstream_name="stub-embed-floats-8"
    )
    await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)

    await gateway.models.UpdateModel(change, metadata=platform.metadata)

    for _ in range(2):
        await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-embed-8", "stub-embed-floats-8"]


async def test_a_vector_that_was_too_old_is_kept_anew(gateway: World, stub: OpenAIStub, admin: Any) -> None:
    ann = await gateway.tenant()
    await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    await admin.execute("UPDATE embedding_cache SET expires_at = now(), vector = '\\x00000000'")

    anew = await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)
    kept = await embed_with(gateway, ann, "stub-embed-8", ["a"], cache_ttl=HOUR)

    assert vectors_of(anew) == vectors_of(kept) == [vector("a", 8)]
    assert len(stub.exchanges) == 2


async def test_a_provider_that_fails_for_all_texts_is_a_status(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(embed_with(gateway, ann, "stub-500", ["a", "b"]))

    (log,) = await logs_of(gateway, ann)
    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    assert (log.status, log.attempts) == (log.STATUS_ERROR, 1)


async def test_an_outage_of_one_batch_leaves_the_others_their_vectors_and_the_next_call_asks_for_the_rest(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()

    first = await embed_with(gateway, ann, "stub-embed-down-3", TEXTS, cache_ttl=HOUR)
    again = await embed_with(gateway, ann, "stub-embed-down-3", TEXTS, cache_ttl=HOUR)

    assert vectors_of(first) == [*(vector(text, 8) for text in TEXTS[:512]), [], []]
    assert [one.error_reason for one in first.embeddings] == [0] * 512 + [UNAVAILABLE] * 2
    assert vectors_of(again) == [vector(text, 8) for text in TEXTS]
    assert sorted(len(exchange.body["input"]) for exchange in stub.exchanges) == [2, 2, 2, 512]
    log, other = await logs_of(gateway, ann)
    assert (log.status, log.error_reason, log.attempts, log.usage.total_tokens) == (
        log.STATUS_SUCCESS,
        UNAVAILABLE,
        3,
        512,
    )
    assert (other.status, other.error_reason, other.usage.total_tokens) == (log.STATUS_SUCCESS, 0, 2)


async def test_an_answer_of_which_a_part_is_missing_for_now_is_not_kept_with_its_idempotency_key(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()

    first, second, third = [
        await embed_with(gateway, ann, "stub-embed-down-3", TEXTS, idempotency_key="key") for _ in range(3)
    ]

    assert [len(values) for values in vectors_of(first)] == [8] * 512 + [0] * 2
    assert vectors_of(second) == [vector(text, 8) for text in TEXTS]
    assert third == second
    assert len(stub.exchanges) == 5


async def test_an_outage_of_all_that_was_not_there_yet_is_on_record_as_one(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    await embed_with(gateway, ann, "stub-embed-down-3", ["up"], cache_ttl=HOUR)

    reply = await embed_with(gateway, ann, "stub-embed-down-3", ["up", "down"], cache_ttl=HOUR)

    *_, log = await logs_of(gateway, ann)
    assert vectors_of(reply) == [vector("up", 8), []]
    assert (log.status, log.error_reason) == (log.STATUS_ERROR, UNAVAILABLE)


async def test_vectors_that_came_before_the_deadline_are_given_to_the_next_call(
    gateway: World, stub: OpenAIStub, admin: Any
) -> None:
    ann = await gateway.tenant()
    request = embedding_pb2.EmbedRequest(model="stub-embed-stall", inputs=TEXTS, cache_ttl=HOUR)
    call = gateway.models.Embed(request, metadata=ann.metadata)
    async with asyncio.timeout(NOT_FOR_EVER):
        while not (await admin.fetchval("SELECT count(*) FROM embedding_cache") and len(stub.exchanges) == 2):
            pass
    call.cancel()

    reply = await embed_with(gateway, ann, "stub-embed-stall", TEXTS[:512], cache_ttl=HOUR)

    assert vectors_of(reply) == [vector(text, 8) for text in TEXTS[:512]]
    assert len(stub.exchanges) == 2


async def test_batches_that_cannot_have_used_together_what_they_say_are_an_invalid_answer(gateway: World) -> None:
    ann = await gateway.tenant()

    reply = await embed_with(gateway, ann, "stub-embed-costly-600", TEXTS)

    (log,) = await logs_of(gateway, ann)
    assert sorted(map(len, vectors_of(reply)))[:2] == [0, 0]
    assert {one.error_reason for one in reply.embeddings} == {0, INVALID}
    assert (log.status, log.error_reason) == (log.STATUS_SUCCESS, INVALID)
    assert log.usage.prompt_tokens == 600_000_000


async def test_an_empty_account_is_not_asked_again(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()

    refusal = await refused(embed_with(gateway, ann, "stub-no-credit", ["a"]))

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED")
    assert len(stub.exchanges) == 1


@pytest.mark.parametrize(
    ("upstream", "reason"),
    [
        ("stub-429", "MODEL_RATE_LIMITED"),
        ("stub-401", "MODEL_CREDENTIAL_REFUSED"),
        ("stub-404", "MODEL_NOT_CONFIGURED"),
        (None, "MODEL_NOT_CONFIGURED"),
    ],
)
async def test_a_failure_names_the_model_as_callers_know_it(
    gateway: World, stub: OpenAIStub, upstream: str | None, reason: str
) -> None:
    """What its provider calls it is not for tenants."""
    ann = await gateway.tenant()
    address = stub.base_url if upstream else f"{stub.base_url}/nobody-has-a-key-to"
    said = {"upstream_name": upstream or "stub-embed-8"}
    embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8, "supports_streaming": False}
    await make_model(gateway, address, "vectors", **said, **embeds)
    await make_model(gateway, address, "words", **said)

    refusals = [
        await refused(embed_with(gateway, ann, "vectors", ["a"])),
        await refused(chat_with(gateway, ann, "words")),
    ]

    told = [refusal.detail(error_details_pb2.ErrorInfo).metadata["subject"] for refusal in refusals]
    assert [refusal.reason for refusal in refusals] == [reason] * 2
    assert told == ["vectors", "words"]
    assert not any(said["upstream_name"] in f"{refusal}" for refusal in refusals)
