"""What a model does, whoever runs it, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from server.kernel.errors import FailedPrecondition, InvalidArgument, ResourceExhausted, Unavailable

Role = Literal["system", "user", "assistant"]

MOST_TOKENS = 1_000_000_000
"""More than any call can use: a larger count is a provider's mistake."""


class ModelUnavailable(Unavailable):
    """The model's provider is out of reach, too slow or too busy."""


class ModelResponseInvalid(Unavailable):
    """The model's provider broke off, or answered what cannot be understood."""


class ModelRequestRejected(InvalidArgument):
    """The model's provider refuses the request: it may be too long, or ask for what the model cannot do."""


class ModelContextExceeded(InvalidArgument):
    """The conversation is longer than the model takes."""


class ModelContentFiltered(InvalidArgument):
    """The provider's filter refuses the conversation."""


class ModelRateLimited(ResourceExhausted):
    """The model's provider limits the rate: try again later."""


class ModelNotConfigured(FailedPrecondition):
    """The model {subject} cannot be called: its provider is not set up, or refuses the credential it was given."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


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


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to answer. `max_tokens`: the most to generate. `headers`: what is carried on to the provider."""

    model: str
    messages: Sequence[Message]
    temperature: float
    max_tokens: int
    stop: Sequence[str] = ()
    seed: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_answer(self, begun: Message, tokens: int) -> ChatRequest:
        """The same, of which so much has been written already, in about so many tokens."""
        left = max(1, self.max_tokens - tokens)
        return replace(self, messages=[*self.messages, begun], max_tokens=left)


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A part of an answer: its text, why the answer ended, what is known to be used so far."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """One vector a text, in their order."""

    vectors: Sequence[Sequence[float]]
    usage: Usage


class ChatModel(Protocol):
    """A model that answers conversations."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Sequence[ChatChunk], None]:
        """The answer in batches of what has arrived together, so that whoever passes it on need not wake for each part.

        Closing the generator ends the model's work. Raises the errors of this module.
        """


class EmbeddingModel(Protocol):
    """A model that turns texts into vectors."""

    async def embed(self, texts: Sequence[str], headers: Mapping[str, str]) -> EmbeddingResult:
        """Raises the errors of this module."""
