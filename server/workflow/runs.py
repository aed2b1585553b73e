"""Runs of agents: what is asked for, and what happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from server.kernel.errors import DomainError
from server.llm.port import Message, ToolCall
from server.workflow.ports import Passage, TurnAnswered


@dataclass(frozen=True, slots=True)
class Run:
    """What is asked for: the next answer in a conversation. `values`: of the prompt's variables; `said`: the same as
    they came. `user_key`: whom the prompt is rendered for; empty: the caller. `whole`: nobody reads along, so that what
    breaks off is made anew.
    """

    agent_id: UUID
    messages: Sequence[Message]
    values: Mapping[str, Any]
    said: bytes
    user_key: str = ""
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, and what for."""

    query: str
    passages: Sequence[Passage]


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a run. `messages`: what it adds to the conversation. `finish_reason`: of the last turn; None: it
    failed. `tool_calls`: of tools that are the caller's. `is_json`: the answer is to be JSON, and is: `output`.
    `error`: what it failed with. `agent_type`: which kind of agent answered.
    """

    turns: Sequence[TurnAnswered]
    messages: Sequence[Message]
    finish_reason: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    is_json: bool = False
    output: Any = None
    error: DomainError | None = None
    agent_type: str | None = None


RunEvent = str | Searched | TurnAnswered | Ended | None
"""What was written, what was found, the end of a turn, the end of the run; None: nothing new for a while."""
