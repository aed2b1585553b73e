"""Conversations as other slices lead them: turn by turn, with tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import UUID

from server.kernel.ids import uuid7
from server.llm.port import Message, ResponseFormat, Tool, ToolCall
from server.model.chat import ChatCall, Delta, Ended, Heartbeat, PromptNamed, Writing
from server.model.service.answers import Answered, answered
from server.model.service.calls import CallService
from server.model.service.planning import Planner

_MOST_CALLS, _MOST_ID, _MOST_NAME = 128, 200, 64
"""Of a message, and of a call, in characters."""


@dataclass(frozen=True, slots=True)
class Turned:
    """The end of a turn, and the tools that the model wants called."""

    answered: Answered
    message: Message


class Conversation:
    """One that has begun. `messages`: it so far. `calls_tools`: whether the model does."""

    def __init__(self, calls: CallService, asked: ChatCall, *, calls_tools: bool) -> None:
        self._calls = calls
        self._asked = asked
        self.calls_tools = calls_tools

    @property
    def messages(self) -> Sequence[Message]:
        return self._asked.messages

    async def turn(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        tool_choice: Literal["auto", "none"],
        *,
        whole: bool,
    ) -> AsyncGenerator[str | Turned | None, None]:
        """The model's next message: what is written, None where nothing new comes for a while, and its end. `messages`:
        all before it; `whole`: all at its end, where what breaks off before is made anew.

        Raises what is wrong before a model is asked.
        """
        asked = replace(self._asked, messages=messages, tools=tools, tool_choice=tool_choice)
        writing = Writing()
        async with aclosing(self._calls.stream_chat(asked, whole=whole)) as batches:
            async for batch in batches:
                for event in batch:
                    match event:
                        case Delta(text):
                            writing.add(event)
                            if text:
                                yield text
                        case Heartbeat():
                            yield None
                        case Ended(logs, error):
                            yield Turned(
                                answered(logs, error), Message("assistant", writing.text, _sendable(writing.tool_calls))
                            )


class Conversations:
    """Has conversations begun for the caller."""

    def __init__(self, calls: CallService, planner: Planner) -> None:
        self._calls = calls
        self._planner = planner

    async def begin(
        self,
        messages: Sequence[Message],
        *,
        model: str,
        temperature: float | None,
        max_tokens: int | None,
        schema: Mapping[str, Any] | None,
        prompt: tuple[UUID, str, str] | None,
        values: tuple[Mapping[str, Any], bytes],
        user_key: str,
    ) -> Conversation:
        """What is empty or None is as the prompt says, or else the tenant. `prompt`: a template that it begins with,
        and its version or label (both empty: the newest); `values`: its variables, and these as they came.

        Raises what is wrong with the prompt, and what is wrong before any model is asked.
        """
        named = None if prompt is None else PromptNamed(*prompt, values[0], user_key, values[1])
        asked = ChatCall(
            model,
            messages,
            temperature=temperature,
            max_tokens=max_tokens,
            response_format=None if schema is None else ResponseFormat(schema=schema),
            prompt=named,
        )
        asked = await self._calls.prompted(asked)
        return Conversation(self._calls, asked, calls_tools=await self._planner.calls_tools(asked))


def _sendable(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """Those that can be a part of a conversation as the API has it: providers may leave out an id, or a name."""
    return [
        call if 0 < len(call.id) <= _MOST_ID else replace(call, id=f"call-{uuid7().hex}")
        for call in calls[:_MOST_CALLS]
        if 0 < len(call.name) <= _MOST_NAME
    ]
