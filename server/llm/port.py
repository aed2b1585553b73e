"""What a model does, whoever runs it, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from server.kernel.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable

Role = Literal["system", "user", "assistant", "tool"]
ToolChoice = Literal["auto", "none", "required"]
Vector = npt.NDArray[np.float32]
"""In little-endian order, as it is kept and sent."""

MOST_TOKENS = 1_000_000_000
"""More than any call can use: a larger count is a provider's mistake."""

NO_ARGUMENTS = "{}"
"""The arguments of a tool call that has none, as JSON."""

_MOST_INDEX = 2**31 - 1
"""What callers are given a tool call's index in holds no more."""

_RETRY_SECONDS = 1.0
"""What callers are told where the provider does not say when to come back."""


class Outage(StrEnum):
    """In what way a provider is not there."""

    UNREACHABLE = "is out of reach"
    SILENT = "says nothing for as long as it may"
    FAILING = "fails, or is too busy"
    COOLING = "has failed, and is left alone for a moment"


class ModelUnavailable(Unavailable):
    """The model's provider {outage}.

    `asked`: seconds that it asks to be left alone for; None: it does not say.
    """

    def __init__(self, asked: float | None = None, outage: Outage = Outage.UNREACHABLE) -> None:
        super().__init__(_RETRY_SECONDS if asked is None else asked, outage=outage.value)
        self.asked = asked
        self.outage = outage


class ModelResponseInvalid(Unavailable):
    """The model's provider answered what cannot be understood."""


class ModelAnswerBroken(Unavailable):
    """The model's provider broke off in the middle of its answer."""


class ModelAnswerTooLong(Unavailable):
    """The model's provider wrote more than it was asked for, and was broken off."""


class ModelRequestRejected(InvalidArgument):
    """The model's provider refuses the request: it may be too long, or ask for what the model cannot do."""


class ModelContextExceeded(InvalidArgument):
    """The conversation is longer than the model takes."""


class ModelContentFiltered(InvalidArgument):
    """The provider's filter refuses the conversation."""


class ModelRateLimited(ResourceExhausted):
    """The model's provider limits the rate: try again later.

    `asked`: seconds that it asks to be left alone for; None: it does not say. `helps`: whether waiting does.
    """

    def __init__(self, model: str, asked: float | None = None, *, helps: bool = True) -> None:
        super().__init__(model, (_RETRY_SECONDS if asked is None else asked) if helps else None)
        self.asked = asked


class ModelNotConfigured(FailedPrecondition):
    """The model {subject} cannot be called: its provider is not set up, or is not where it should be."""


class ModelCredentialRefused(FailedPrecondition):
    """The model {subject} cannot be called: its provider refuses the credential that it is called with."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called. `arguments`: JSON as the model wrote it, which may be malformed."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A part of a tool call. `index`: which of the answer's calls; the first part names `id` and `name`, and the
    `arguments` of all parts make up the whole. Raises ValueError for an index that cannot be.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""

    def __post_init__(self) -> None:
        # A provider's number goes to callers in 32 bits, so what does not fit is stopped here.
        if not 0 <= self.index <= _MOST_INDEX:
            raise ValueError("impossible index of a tool call")


@dataclass(frozen=True, slots=True)
class Tool:
    """What the model may have called. `parameters`: a JSON schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
"""Of a tool that takes none."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """What the answer must be: JSON that matches `schema`, or (None) any JSON object. `name`: what it is called."""

    name: str = "answer"
    schema: Mapping[str, Any] | None = None
    strict: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `tool_calls`: an assistant's; `tool_call_id`: which of them a tool's turn answers."""

    role: Role
    content: str
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """Everything in it that a model reads."""
        return self.content + "".join(call.name + call.arguments for call in self.tool_calls)


class Counted(Protocol):
    """Something that used tokens."""

    @property
    def prompt_tokens(self) -> int: ...
    @property
    def completion_tokens(self) -> int: ...
    @property
    def cached_tokens(self) -> int: ...
    @property
    def reasoning_tokens(self) -> int: ...
    @property
    def total_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What a call used, in tokens. `estimated`: the provider did not say.

    `cached_tokens` are among `prompt_tokens`, and `reasoning_tokens`, of thoughts that the model does not show, among
    `completion_tokens`. Raises ValueError for numbers that cannot be.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __post_init__(self) -> None:
        # A provider's numbers go into the bill and the database, so what cannot be is stopped here.
        if not (0 <= self.cached_tokens <= self.prompt_tokens <= MOST_TOKENS):
            raise ValueError("impossible count of tokens read")
        if not 0 <= self.reasoning_tokens <= self.completion_tokens <= MOST_TOKENS:
            raise ValueError("impossible count of tokens written")

    def and_also(self, other: Usage) -> Usage:
        """Of both calls together, as far as it can be counted."""
        return Usage(
            min(self.prompt_tokens + other.prompt_tokens, MOST_TOKENS),
            min(self.completion_tokens + other.completion_tokens, MOST_TOKENS),
            min(self.cached_tokens + other.cached_tokens, MOST_TOKENS),
            min(self.reasoning_tokens + other.reasoning_tokens, MOST_TOKENS),
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to answer. `model`: as its provider calls it. `max_tokens`: the most to generate. `tool_choice`: a
    Tool must be called.

    `headers`: what is carried on to the provider. `label`: what callers know the model by; None: the same. `streams`:
    whether it is asked for the answer as it is written; else it gives it in one piece. `line`: whose it is, where
    a model has few places and those who wait take turns.
    """

    model: str
    messages: Sequence[Message]
    temperature: float
    max_tokens: int
    stop: Sequence[str] = ()
    seed: int | None = None
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | Tool = "auto"
    response_format: ResponseFormat | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    streams: bool = True
    line: str = ""
    sent: Callable[[], None] = field(default=lambda: None, compare=False)
    """Called once it has gone to the provider: from then on it may have to be paid for."""

    @property
    def name(self) -> str:
        """What callers know the model by."""
        return self.label or self.model

    def with_answer(self, begun: Message, tokens: int) -> ChatRequest:
        """The same, of which so much has been written already, in about so many tokens."""
        left = max(1, self.max_tokens - tokens)
        return replace(self, messages=[*self.messages, begun], max_tokens=left)


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A part of an answer: its text, why the answer ended, what is known to be used so far.

    `finish_reason`: stop, length, tool_calls or content_filter; other where the provider's own words are none of these.
    `thought`: bytes that are not shown, of thoughts and of the words of a refusal.
    """

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    tool_calls: Sequence[ToolCallDelta] = ()
    thought: int = 0

    @property
    def says_something(self) -> bool:
        """Whether it is more than a count of what is used."""
        return bool(self.text or self.tool_calls or self.thought or self.finish_reason)

    @property
    def size(self) -> int:
        """Bytes written, in UTF-8. A call's id is none of them: no model writes it."""
        if not self.tool_calls:
            return length(self.text)
        return length(self.text) + sum(length(call.name) + length(call.arguments) for call in self.tool_calls)


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """One vector a text, in their order."""

    vectors: Sequence[Vector]
    usage: Usage


def length(text: str) -> int:
    """Bytes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class ChatModel(Protocol):
    """A model that answers conversations."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer in batches of what has arrived together, so that whoever passes it on need not wake for each part.

        Nothing is sent before the first batch is asked for. Closing the generator ends the model's work. Raises the
        errors of this module.
        """


class EmbeddingModel(Protocol):
    """A model that turns texts into vectors."""

    async def embed(
        self,
        texts: Sequence[str],
        headers: Mapping[str, str],
        sent: Callable[[], None] = ...,
        wasted: Callable[[Usage], None] = ...,
    ) -> EmbeddingResult:
        """Raises the errors of this module. `sent`: as ChatRequest has it. `wasted`: is told what was used where the
        answer is of no use.
        """
