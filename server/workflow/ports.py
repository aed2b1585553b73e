"""What the workflow slice needs from others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.errors import DomainError
from server.kernel.principal import Principal
from server.kernel.quota import Limit
from server.llm.port import Counted, Message, Tool

Result = TypeVar("Result")


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class ForgetAnswers(Protocol):
    """Has nothing be answered any more that names what is purged, to a call that is sent again."""

    async def __call__(self, tx: Tx, purged: Sequence[UUID]) -> None: ...


class Quotas(Protocol):
    """How much of something the transaction's tenant may have."""

    async def hold(self, tx: Tx, resource: Literal["workflows"]) -> Limit | None:
        """The limit; None for none. Whoever asks next waits until the transaction ends."""


class Offload(Protocol):
    """Processes for work that would hold up the calls of others."""

    async def run(self, tenant_id: UUID, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the function returns, or raises; refusals where it takes too long, or too much is asked at once."""


class Settings(Protocol):
    """What a tenant has set for its executions."""

    @property
    def max_concurrent_workflows(self) -> int: ...
    @property
    def workflow_timeout_seconds(self) -> int: ...


class Tenants(Protocol):
    """What executing must know of tenants."""

    async def enter(self, tenant_id: UUID) -> None:
        """Raises what is wrong with a tenant that is not active."""

    async def model_settings(self, tenant_id: UUID) -> Settings:
        """What it has set."""


class People(Protocol):
    """For whom executions go on."""

    async def acting(self, tenant_id: UUID, user_id: UUID, api_key_id: UUID | None) -> Principal:
        """The user as a caller, with what they, and the key, may do now: nothing where either is no good any more."""


class TurnAnswered(Counted, Protocol):
    """The end of a turn of a conversation. `cost`: USD; None: no price is in force. `error`: what the model failed
    with.
    """

    @property
    def call_log_id(self) -> UUID: ...
    @property
    def cost(self) -> Decimal | None: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def error(self) -> DomainError | None: ...


class Turned(Protocol):
    """The end of a turn, and what the model said in it."""

    @property
    def answered(self) -> TurnAnswered: ...
    @property
    def message(self) -> Message: ...


class Conversation(Protocol):
    """One that has begun. `messages`: it so far, its prompt too. `calls_tools`: whether the model does."""

    @property
    def messages(self) -> Sequence[Message]: ...
    @property
    def calls_tools(self) -> bool: ...

    def turn(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        tool_choice: Literal["auto", "none"],
        *,
        whole: bool,
    ) -> AsyncGenerator[str | Turned | None, None]:
        """The model's next message: what is written, None where nothing new comes for a while, and its end. `messages`:
        all before it; `whole`: all at its end, where what breaks off before is made anew. Raises what is wrong before a
        model is asked.
        """


class Conversations(Protocol):
    """Has conversations begun for the caller."""

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
        and its version or label (both empty: the newest); `values`: its variables, and these as they came. Raises what
        is wrong with the prompt, and what is wrong before any model is asked.
        """


class Passage(Protocol):
    """A part of a document that was found."""

    @property
    def chunk_id(self) -> UUID: ...
    @property
    def document_id(self) -> UUID: ...
    @property
    def document_title(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def page(self) -> int | None: ...
    @property
    def heading(self) -> str | None: ...
    @property
    def score(self) -> float: ...


class Passages(Protocol):
    """What the caller finds in knowledge bases."""

    async def find(
        self, base_ids: Sequence[UUID], text: str, top_k: int | None, most_tokens: int | None = None
    ) -> Sequence[Passage]:
        """The best first, as many as have so many tokens together, and one in any case. Raises what is wrong with the
        bases, or with the call of a model.
        """

    def told(self, found: Sequence[Any]) -> str:
        """As a model is told of what was found, by numbers from 1."""
