"""A call's events as a client sees them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import chat_pb2, embedding_pb2
from server import chats
from server.kernel.clock import now
from server.kernel.errors import DomainError
from server.kernel.ids import uuid7
from server.llm.port import ModelUnavailable
from server.model.chat import ChatEvent, Delta, Ended, Heartbeat, Started
from server.model.convert import calls as convert
from server.model.domain import CallLog
from server.model.service.embedding import Embeddings

LOG = CallLog(
    id=uuid7(),
    user_id=uuid7(),
    model_id=uuid7(),
    kind="chat",
    prompt_tokens=7,
    completion_tokens=2,
    cached_tokens=3,
    total_tokens=9,
    total_cost=Decimal("0.000000125"),
    latency_ms=1500,
    time_to_first_token_ms=250,
    status="success",
    error_code=None,
    finish_reason="stop",
    trace_id="ab" * 16,
    request_id="request-1",
    created_at=now(),
    api_key_id=None,
    route=None,
    attempts=1,
    reasoning_tokens=0,
    prompt_template_version_id=None,
    cached=False,
)


@pytest.mark.parametrize(
    ("event", "kind"),
    [(Started("m", LOG.id, "fast", None), "started"), (Delta("a"), "delta"), (Heartbeat(), "heartbeat")],
)
def test_an_event_is_one_message_with_its_number(event: ChatEvent, kind: str) -> None:
    (message,) = convert.chat_events(event, 4)

    assert (message.WhichOneof("event"), message.seq) == (kind, 4)


@pytest.mark.parametrize(("error", "kind"), [(None, "completed"), (ModelUnavailable(), "failed")])
def test_the_end_is_what_was_used_and_then_how_it_ended(error: DomainError | None, kind: str) -> None:
    used, last = convert.chat_events(Ended([LOG], error), 4)

    assert (used.seq, last.seq, last.WhichOneof("event")) == (4, 5, kind)
    assert (used.usage.prompt_tokens, used.usage.cached_tokens, used.usage.total_tokens) == (7, 3, 9)
    assert used.usage.cost_usd == "0.000000125"


def test_a_failure_gives_its_reason_as_a_number_of_the_enum_and_for_people() -> None:
    _, last = convert.chat_events(Ended([LOG], ModelUnavailable()), 1)

    assert last.failed.reason == error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE
    assert last.failed.message == ModelUnavailable().message


@pytest.mark.parametrize(
    ("word", "number"),
    [
        (None, chat_pb2.FINISH_REASON_UNSPECIFIED),
        ("stop", chat_pb2.FINISH_REASON_STOP),
        ("length", chat_pb2.FINISH_REASON_LENGTH),
        ("content_filter", chat_pb2.FINISH_REASON_CONTENT_FILTER),
        ("tool_calls", chat_pb2.FINISH_REASON_TOOL_CALLS),
        ("function_call", chat_pb2.FINISH_REASON_OTHER),
        ("other", chat_pb2.FINISH_REASON_OTHER),
    ],
)
def test_why_an_answer_ended(word: str | None, number: Any) -> None:
    assert chats.finish_reason(word) == number


def test_a_record_of_a_call_without_a_price_or_a_token_leaves_them_out() -> None:
    log = convert.call_log(replace(LOG, total_cost=None, time_to_first_token_ms=None, user_id=None))

    assert not log.usage.HasField("cost_usd")
    assert not log.HasField("time_to_first_token")
    assert log.user_id == ""


@pytest.mark.parametrize("dimensions", [1, 31, 32, 4000])
def test_a_vectors_message_holds_its_numbers_whatever_their_count(dimensions: int) -> None:
    vector = np.linspace(-1, 1, dimensions, dtype="<f4")
    found = Embeddings([vector, ModelUnavailable(), vector], "m", LOG, None)

    reply = convert.embeddings(found)

    values = [float(value) for value in vector]
    assert [list(one.values) for one in reply.embeddings] == [values, [], values]
    assert reply == embedding_pb2.EmbedResponse.FromString(reply.SerializeToString())
