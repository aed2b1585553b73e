"""What a chat is asked, and what happens until it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from server.kernel.errors import DomainError
from server.llm.port import ChatChunk, Message, ResponseFormat, Tool, ToolCall, ToolCallDelta, ToolChoice
from server.model.domain import CallLog, Deprecated
from server.model.ports import PromptVersion, RenderedPrompt


@dataclass(frozen=True, slots=True)
class PromptNamed:
    """A prompt that a conversation begins with: by version, by label, or (both empty) the newest. `said`: the values as
    they came.
    """

    template_id: UUID
    version: str
    label: str
    values: Mapping[str, Any]
    user_key: str
    said: bytes


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What a caller asks of a model or route; what is None or empty is the tenant's default.

    `continue_on_failure`: whether another target goes on in the middle of an answer. `cache_ttl`: seconds for which an
    answer to the same question may be given again; None: as the route says. `prompt`: what the messages are still to
    begin with; None: nothing more. `prompt_version_id`: of the prompt, once it is found.
    """

    model: str
    messages: Sequence[Message]
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | Tool = "auto"
    response_format: ResponseFormat | None = None
    continue_on_failure: bool = False
    cache_ttl: int | None = None
    prompt: PromptNamed | None = None
    prompt_version_id: UUID | None = None

    def found(self, version: PromptVersion) -> ChatCall:
        """The same, of that version of the prompt that it names; what it leaves open is as the version says."""
        settings = version.settings
        return replace(
            self,
            model=self.model or settings.model,
            temperature=settings.temperature if self.temperature is None else self.temperature,
            max_tokens=self.max_tokens or settings.max_tokens,
            stop=self.stop or settings.stop,
            seed=settings.seed if self.seed is None else self.seed,
            prompt_version_id=version.id,
        )

    def prompted(self, prompt: RenderedPrompt) -> ChatCall:
        """The same, beginning with the prompt."""
        if prompt.text is None:
            begun = [Message(turn.role, turn.content) for turn in prompt.turns]
        else:
            begun = [Message("system" if self.messages else "user", prompt.text)]
        return replace(self, messages=[*begun, *self.messages], prompt=None)


@dataclass(frozen=True, slots=True)
class Started:
    """A model begins to answer. `route`: the alias that was called. `cached`: the answer was given before."""

    model: str
    call_log_id: UUID
    route: str | None
    deprecated: Deprecated | None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Switched:
    """Another model goes on, since the one before broke off with `failed`."""

    model: str
    call_log_id: UUID
    failed: DomainError
    deprecated: Deprecated | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """The model wrote more."""

    text: str
    tool_calls: Sequence[ToolCallDelta] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing new, and the model is still at work."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over and its records written: of each model that was asked, the last one's in the end. `error`: what
    the provider failed with, None where it did not.
    """

    logs: Sequence[CallLog]
    error: DomainError | None


ChatEvent = Started | Switched | Delta | Heartbeat | Ended


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A whole answer. `logs`: the records of it, as those of Ended."""

    text: str
    tool_calls: Sequence[ToolCall]
    started: Started
    logs: Sequence[CallLog]


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Writing:
    """An answer as it comes together from its parts."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls: dict[int, _Call] = {}

    def add(self, delta: Delta | ChatChunk) -> None:
        if delta.text:
            self._texts.append(delta.text)
        for part in delta.tool_calls:
            call = self._calls.setdefault(part.index, _Call())
            call.id = call.id or part.id
            call.name = call.name or part.name
            if part.arguments:
                call.arguments.append(part.arguments)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """In the order of their indexes."""
        return [ToolCall(part.id, part.name, part.arguments) for part in self.parts]

    @property
    def parts(self) -> list[ToolCallDelta]:
        """The calls as parts that are all of them, in the order of their indexes."""
        calls = sorted(self._calls.items())
        return [ToolCallDelta(index, call.id, call.name, "".join(call.arguments)) for index, call in calls]
