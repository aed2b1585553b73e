"""Server-sent events read as bytes, and those of a chat completion: only the fields that are needed are looked at."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import orjson

from server.kernel.errors import DomainError
from server.llm.http import MOST_WHOLE_BRACKETS
from server.llm.port import (
    NO_ARGUMENTS,
    ChatChunk,
    ModelAnswerBroken,
    ModelResponseInvalid,
    ToolCallDelta,
    Usage,
    length,
)

MOST_BYTES = 1_048_576
"""An event, or what should be one, that is longer than this is not one."""

_FINISH_REASON = re.compile(r"[a-z_]{1,50}")

_CUT_SHORT = ("length", "content_filter")
"""A call that is then without arguments may have been about to get some."""


class EventReader(ABC):
    """Turns the bytes of a stream into chunks. `done`: the provider has said that nothing follows, and nothing behind
    that is read. `failure`: what is wrong with the bytes behind the chunks so far; nothing behind it is read. `hollow`:
    the bytes of what wrote nothing, such as a sign of life.
    """

    def __init__(self) -> None:
        self.done = False
        self.failure: Exception | None = None
        self.hollow = 0
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[ChatChunk]:
        """The chunks whose last byte is among these."""
        chunks: list[ChatChunk] = []
        *lines, rest = data.split(b"\n")
        if lines and self._rest:  # not with each read: a long line's beginning would be copied every time
            lines[0] = b"".join((self._rest, lines[0]))
            self._rest.clear()
        try:
            for line in lines:
                chunk = self._line(line) if line else None
                if chunk is None or not chunk.says_something:
                    self.hollow += len(line) + 1
                if chunk is not None:
                    chunks.append(chunk)
                if self.done:
                    return chunks
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

    def __init__(self) -> None:
        super().__init__()
        self._calls = _Calls()
        self._refused = False

    def whole(self, content: bytes) -> ChatChunk:
        """An answer that came in one piece. Raises ModelResponseInvalid."""
        try:
            body = orjson.loads(content)
            message = body["choices"][0].get("message") or {}
            calls = [{**call, "index": index} for index, call in enumerate(message.get("tool_calls") or ())]
            choice = {**body["choices"][0], "delta": {**message, "tool_calls": calls}}
            chunk = self._said({**body, "choices": [choice]})
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelResponseInvalid from None
        if chunk is None or chunk.finish_reason is None:
            raise ModelResponseInvalid
        if not message and chunk.finish_reason != "content_filter":  # Gemini has none where its filter kept it back
            raise ModelResponseInvalid
        return chunk

    def _event(self, payload: bytes) -> ChatChunk | None:
        if payload == b"[DONE]":
            self.done = True
            return None
        return self._said(orjson.loads(payload))

    def _said(self, event: dict[str, Any]) -> ChatChunk | None:
        if event.get("error"):
            raise ModelAnswerBroken
        text, finish_reason, thought = "", None, 0
        calls: tuple[ToolCallDelta, ...] = ()
        choices = event["choices"]
        if choices:
            choice = choices[0]
            # What Azure's filter finds later, in what is written already, it tells in choices without a delta.
            delta = choice.get("delta") or {}
            text = delta.get("content") or ""
            if not isinstance(text, str):
                raise ModelResponseInvalid
            # OpenAI shows no thoughts; others do, under one of two names.
            if isinstance(shown := delta.get("reasoning_content") or delta.get("reasoning"), str):
                thought = length(shown)
            if (refusal := delta.get("refusal")) and isinstance(refusal, str):
                self._refused = True
                thought += length(refusal)
            if wanted := delta.get("tool_calls"):
                calls = tuple(self._calls.part(call) for call in wanted)
            # Some say "" where they mean null.
            if finish_reason := choice.get("finish_reason") or None:
                finish_reason = finish_reason.partition(":")[0]  # Gemini says behind it what its filter found
                finish_reason = finish_reason if _FINISH_REASON.fullmatch(finish_reason) else "other"
                # It is said to have stopped, as an answer does.
                finish_reason = "content_filter" if self._refused else finish_reason
                if finish_reason not in _CUT_SHORT:
                    calls += self._calls.left_bare()
        used = usage_of(event)
        if not text and not calls and not thought and finish_reason is None and used is None:
            return None
        return ChatChunk(text, finish_reason, used, calls, thought)


@dataclass(slots=True)
class _Call:
    """A call of a tool as far as it is told. `bare`: none of its arguments has come."""

    number: int
    id: str = ""
    name: str = ""
    bare: bool = True

    def goes_on(self, call_id: str, name: str, index: int | None) -> bool:
        """Whether a part that says so belongs to it, where it is the newest call of that index."""
        if call_id and self.id:
            return call_id == self.id
        return index is not None or not (name and self.name)

    def named(self, name: str) -> str:
        """The name, where it is the first."""
        if self.name:
            return ""
        self.name = name
        return name


class _Calls:
    """The calls of one answer. They are told apart also where their endpoint gives them all one index, or none."""

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._next = 0
        self._of_id: dict[str, _Call] = {}
        # By the index that the endpoint says; None: the newest of all.
        self._newest: dict[int | None, _Call] = {}

    def part(self, said: dict[str, Any]) -> ToolCallDelta:
        """A part of a call, under an index that the call has for itself. Raises what looking into it raises."""
        function = said.get("function") or {}
        parts = (said.get("id") or "", function.get("name") or "", function.get("arguments") or "")
        if not all(isinstance(part, str) for part in parts):
            raise ModelResponseInvalid
        call_id, name, arguments = parts
        index = None if (index := said.get("index")) is None else whole_number(index)
        call = self._newest.get(index)
        if call is not None and not call.goes_on(call_id, name, index):
            # Older versions of vLLM give each part an id of its own: one that has arguments alone begins no call.
            call = self._of_id.get(call_id) or (None if name or not function else call)
        call = call or self._begun(index)
        self._newest[index] = self._newest[None] = call
        call.bare = call.bare and not arguments
        return ToolCallDelta(call.number, self._identified(call, call_id), call.named(name), arguments)

    def left_bare(self) -> tuple[ToolCallDelta, ...]:
        """What the calls that have got no arguments lack to be JSON."""
        bare = [call for call in self._calls.values() if call.bare]
        for call in bare:
            call.bare = False
        return tuple(ToolCallDelta(call.number, arguments=NO_ARGUMENTS) for call in bare)

    def _identified(self, call: _Call, call_id: str) -> str:
        """The id, where it is the call's first."""
        if call.id or not call_id:
            return ""
        call.id = call_id
        self._of_id.setdefault(call_id, call)
        return call_id

    def _begun(self, index: int | None) -> _Call:
        number = self._next if index is None or index in self._calls else index
        self._next = max(self._next, number + 1)
        call = self._calls[number] = _Call(number)
        return call


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
        # xAI and Gemini count thoughts beside the answer, and Gemini tells of them in the total alone.
        total = int(usage.get("total_tokens") or prompt + completion + (thought if thought > completion else 0))
        if (beside := total - prompt - completion) > 0 and beside != cached:
            completion, thought = completion + beside, max(thought, beside)
        # Some count what was cached beside the prompt; the answer is good all the same.
        return Usage(prompt, completion, min(cached, prompt), min(thought, completion))
    if timings := event.get("timings"):
        cached = int(timings.get("cache_n", 0))
        return Usage(int(timings["prompt_n"]) + cached, int(timings["predicted_n"]), cached)
    return None
