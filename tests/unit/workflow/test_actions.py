"""What a chat comes to, whatever the model writes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import pytest

from server.kernel.errors import DomainError, PermissionMissing
from server.kernel.permissions import Permission
from server.kernel.principal import Call, Principal, within
from server.llm.port import ModelUnavailable
from server.workflow.definition import MOST_BYTES, Chat, ChatMessage
from server.workflow.errors import AnswerNotJson, ExpressionFailed
from server.workflow.limits import MOST_DEPTH
from server.workflow.ports import Passage
from server.workflow.service.actions import Actions


@dataclass(frozen=True)
class _Answered:
    finish_reason: str | None = "stop"
    error: DomainError | None = None


class _Writes:
    """A model that writes these pieces, and ends so."""

    def __init__(self, *pieces: str, error: DomainError | None = None) -> None:
        self._pieces = pieces
        self._error = error

    async def stream(self, *asked: Any, whole: bool) -> AsyncGenerator[str | _Answered | None, None]:
        for piece in self._pieces:
            yield piece
            yield None
        yield _Answered(error=self._error)


class _NoPassages:
    async def find(self, base_ids: Sequence[UUID], text: str, top_k: int | None) -> Sequence[Passage]:
        raise NotImplementedError


async def _chat(model: _Writes, *permissions: Permission, json: bool = False) -> dict[str, Any]:
    caller = Principal(UUID(int=1), UUID(int=2), None, frozenset(permissions or {Permission.MODELS_EXECUTE}))
    with within(Call("test", "request", "ab" * 16, "cd" * 8, principal=caller)):
        return await Actions(model, _NoPassages()).chat(Chat([ChatMessage("user", "Say")], json=json), ["Say"])


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["Hel", "lo"], "Hello"),
        ([], ""),
        (["\ud83d", "\ude00"], "\U0001f600"),
        (["a\ud83d", "b"], "a\ufffdb"),
    ],
)
async def test_a_chat_comes_to_what_the_model_wrote(pieces: list[str], text: str) -> None:
    output = await _chat(_Writes(*pieces))

    assert output == {"text": text, "finish_reason": "stop"}
    assert orjson.loads(orjson.dumps(output)) == output


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ("```\n[]\n```", []),
        (r'"\\u0000"', r"\u0000"),
        ('"\\u0000"', "\0"),  # which the database's connections write as they can
    ],
)
async def test_json_is_read(text: str, value: Any) -> None:
    assert (await _chat(_Writes(text), json=True))["value"] == value


@pytest.mark.parametrize("text", ["Certainly!", "", "{", "NaN", '"\\ud800"', "[" * 2_000 + "]" * 2_000])
async def test_what_is_no_json_is_asked_for_again(text: str) -> None:
    with pytest.raises(AnswerNotJson):
        await _chat(_Writes(text), json=True)


@pytest.mark.parametrize(
    "text", ["[" * 300 + "]" * 300, "[" * MOST_DEPTH + "]" * MOST_DEPTH, '"' + "1" * MOST_BYTES + '"']
)
async def test_what_is_more_than_is_kept_fails(text: str) -> None:
    with pytest.raises(ExpressionFailed):
        await _chat(_Writes(text), json=True)


async def test_a_model_that_fails_fails_the_chat() -> None:
    with pytest.raises(ModelUnavailable):
        await _chat(_Writes("Hel", error=ModelUnavailable(1.0)))


async def test_no_model_is_asked_for_who_may_not() -> None:
    with pytest.raises(PermissionMissing):
        await _chat(_Writes("Hello"), Permission.WORKFLOWS_EXECUTE)
