"""What the knowledge slice needs from others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeVar
from uuid import UUID

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.errors import DomainError
from server.kernel.quota import Limit
from server.llm.port import Counted
from server.net.fetching import Fetched, Wanted

Result = TypeVar("Result")

Turn = tuple[Literal["system", "user", "assistant"], str]
"""Who says what in a conversation."""


class AuditLog(Protocol):
    """Where changes are written down, in the change's own transaction."""

    async def record(self, tx: Tx, change: Change) -> None: ...


class ForgetAnswers(Protocol):
    """Has nothing be answered any more that names what is purged, to a call that is sent again."""

    async def __call__(self, tx: Tx, purged: Sequence[UUID]) -> None: ...


class Quotas(Protocol):
    """How much of something the transaction's tenant may have."""

    async def hold(self, tx: Tx, resource: Literal["knowledge_bases"]) -> Limit | None:
        """The limit; None for none. Whoever asks next waits until the transaction ends."""


class EmbeddingModel(Protocol):
    """A model that turns texts into vectors. `max_tokens`: of one text; None: nobody says, as of `dimensions`."""

    @property
    def name(self) -> str: ...
    @property
    def dimensions(self) -> int | None: ...
    @property
    def max_tokens(self) -> int | None: ...


class Embedded(Protocol):
    """What a model made of texts: a vector for each, in their order, or why there is none."""

    @property
    def vectors(self) -> Sequence[Any]: ...


class Embeddings(Protocol):
    """The models that the tenant can embed with."""

    async def model(self, name: str) -> EmbeddingModel:
        """The one of that name; empty: the tenant's default. Raises what is wrong with it, or with the caller's key."""

    async def check_key(self, name: str) -> None:
        """Raises what is wrong where the caller's key is for other models than that."""

    async def embed(self, name: str, inputs: Sequence[str], cache_ttl: int | None) -> Embedded:
        """A vector for each text. Raises what is wrong with the call, or what the provider fails with for all of them.
        `cache_ttl`: seconds for which a text that comes again is not paid again.
        """


class Answered(Counted, Protocol):
    """The end of an answer. `cost`: USD; None: no price is in force. `error`: what the model failed with."""

    @property
    def call_log_id(self) -> UUID: ...
    @property
    def cost(self) -> Decimal | None: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def error(self) -> DomainError | None: ...


class Answers(Protocol):
    """The models that answer for the tenant."""

    def stream(
        self, model: str, turns: Sequence[Turn], max_tokens: int | None, temperature: float | None
    ) -> AsyncGenerator[str | Answered | None, None]:
        """What is written; "" once it begins, None where nothing new comes for a while; and its end. `model`: empty:
        the tenant's default. Raises what is wrong before a model is asked.
        """


class Fetch(Protocol):
    """Gets what lies at addresses."""

    @property
    def guarded(self) -> bool:
        """Whether public addresses are fetched from, and no others."""

    async def __call__(self, url: str, wanted: Wanted) -> Fetched:
        """Raises FetchFailed, and what `wanted` raises once the first bytes have come."""


class SearchSettings(Protocol):
    """What a search is given that leaves it open, and what is kept of it. `vector_search_threshold`: None: none."""

    @property
    def vector_search_top_k(self) -> int: ...
    @property
    def vector_search_threshold(self) -> Decimal | None: ...
    @property
    def store_queries(self) -> bool: ...


class Tenants(Protocol):
    """What processing and searching must know of tenants."""

    async def enter(self, tenant_id: UUID) -> None:
        """Raises what is wrong with a tenant that is not active."""

    async def model_settings(self, tenant_id: UUID) -> SearchSettings:
        """What it has set."""


class Offload(Protocol):
    """Processes for work that would hold up the calls of others."""

    async def run(self, tenant_id: UUID, work: Callable[..., Result], *arguments: Any) -> Result:
        """What the function returns, or raises; refusals where it takes too long, or too much is asked at once."""
