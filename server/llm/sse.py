"""Server-sent events read as bytes, and those of a chat completion: only the fields that are needed are looked at."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any

import orjson

from server.kernel.errors import DomainError
from server.llm.http import MOST_WHOLE_BRACKETS
from server.llm.port import ChatChunk, ModelAnswerBroken, ModelResponseInvalid, ToolCallDelta, Usage, length

MOST_BYTES = 1_048_576
"""An event, or what should be one, that is longer than this is not one."""

_FINISH_REASON = re.compile(r"[a-z_]{1,50}")


class EventReader(ABC):
    """Turns the bytes of a stream into chunks. `done`: the provider has said that nothing follows. `failure`: what is
    wrong with the bytes behind the chunks so far; nothing behind it is read.
    """

    def __init__(self) -> None:
        self.done = False
        self.failure: Exception | None = None
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[ChatChunk]:
        """The chunks whose last byte is among these."""
        chunks: list[ChatChunk] = []
        *lines, rest = data.split(b"\n")
        if lines and self._rest:  # not with each read: a long line's beginning would be copied every time
            lines[0] = b"".join((self._rest, lines[0]))
            self._rest.clear()
        try:
            chunks.extend(chunk for line in lines if line and (chunk := self._line(line)) is not None)
            if rest:
                self._rest += rest
                _check_length(self._rest)
        except DomainError as error:
            self.failure = error
        return chunks

    def _line(self, line: bytes) -> ChatChunk | None:
        _check_length(line)
        if not line.startswith(b"data:"):  # a comment that keeps the connection alive, or a field of no use
            return None
        _check_form(line)
        try:
            return self._event(line[5:].strip())
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None

    @abstractmethod
    def _event(self, payload: bytes) -> ChatChunk | None:
        """What the event says; None: nothing of interest. May raise what looking into it raises."""


def _check_length(line: bytes | bytearray) -> None:
    if len(line) > MOST_BYTES:
        raise ModelResponseInvalid


def _check_form(line: bytes) -> None:
    """Raises ModelResponseInvalid for more lists and objects than a model writes: to make them holds up other calls."""
    # A shorter one cannot have so many.
    if len(line) > MOST_WHOLE_BRACKETS and line.count(b"[") + line.count(b"{") > MOST_WHOLE_BRACKETS:
        raise ModelResponseInvalid


class ChunkReader(EventReader):
    """Reads the events of OpenAI's protocol."""

    def _event(self, payload: bytes) -> ChatChunk | None:
        if payload == b"[DONE]":
            self.done = True
            return None
        return _chunk(orjson.loads(payload))


def whole_answer(content: bytes) -> ChatChunk:
    """An answer that came in one piece. Raises ModelResponseInvalid."""
    try:
        body = orjson.loads(content)
        message = body["choices"][0]["message"]
        calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]
        choice = {**body["choices"][0], "delta": {**message, "tool_calls": calls}}
        chunk = _chunk({**body, "choices": [choice]})
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ModelResponseInvalid from None
    if chunk is None or chunk.finish_reason is None:
        raise ModelResponseInvalid
    return chunk


def _chunk(event: dict[str, Any]) -> ChatChunk | None:
    if "error" in event:
        raise ModelAnswerBroken
    text, finish_reason, thought = "", None, 0
    calls: tuple[ToolCallDelta, ...] = ()
    choices = event["choices"]
    if choices:
        choice = choices[0]
        delta = choice["delta"]
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise ModelResponseInvalid
        # OpenAI shows no thoughts; others do, under one of two names.
        if isinstance(shown := delta.get("reasoning_content") or delta.get("reasoning"), str):
            thought = length(shown)
        if wanted := delta.get("tool_calls"):
            calls = tuple(_tool_call(call) for call in wanted)
        # Some say "" where they mean null.
        if finish_reason := choice.get("finish_reason") or None:
            finish_reason = finish_reason if _FINISH_REASON.fullmatch(finish_reason) else "other"
    used = usage_of(event)
    if not text and not calls and not thought and finish_reason is None and used is None:
        return None
    return ChatChunk(text, finish_reason, used, calls, thought)


def _tool_call(call: dict[str, Any]) -> ToolCallDelta:
    function = call.get("function") or {}
    parts = (call.get("id") or "", function.get("name") or "", function.get("arguments") or "")
    if not all(isinstance(part, str) for part in parts):
        raise ModelResponseInvalid
    return ToolCallDelta(whole_number(call.get("index") or 0), *parts)


def whole_number(value: Any) -> int:
    """A number that says which: one that is rounded would be another's. 1.0 is one, as some write it; 1.5, "1" and true
    are not. Raises ValueError, TypeError.
    """
    number = int(value)
    if isinstance(value, bool) or number != value:
        raise ValueError("not a whole number")
    return number


def usage_of(event: dict[str, Any]) -> Usage | None:
    """What the event says was used so far: in OpenAI's words, or in those of llama.cpp's running count."""
    if usage := event.get("usage"):
        read, wrote = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        prompt, completion = int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
        cached, thought = int(read.get("cached_tokens") or 0), int(wrote.get("reasoning_tokens") or 0)
        # Some count these beside the prompt and the answer, and not in them; the answer is good all the same.
        return Usage(prompt, completion, min(cached, prompt), min(thought, completion))
    if timings := event.get("timings"):
        cached = int(timings.get("cache_n", 0))
        return Usage(int(timings["prompt_n"]) + cached, int(timings["predicted_n"]), cached)
    return None
