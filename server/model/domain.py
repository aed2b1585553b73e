"""Models, what they cost, and the record of each call made to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from server.kernel.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from server.kernel.urls import check_endpoint_url

ModelType = Literal["chat", "embedding"]
ModelStatus = Literal["active", "deprecated", "disabled"]
CallKind = Literal["chat", "embedding"]
CallStatus = Literal["success", "error", "cancelled"]

_COST_STEP = Decimal("0.000000001")
MOST_COST = Decimal("999999999.999999999")
"""USD that one call is written down with at most: more is a mistake in its price, or a provider's."""


class ModelNotFound(NotFound):
    """No model with this id or name."""

    resource = "model"


class ModelNameTaken(AlreadyExists):
    """The model name {name} is taken."""


class ModelNotAllowed(PermissionDenied):
    """The API key is not for the model {model}."""


class ModelDisabled(FailedPrecondition):
    """The model {subject} is disabled."""


class ModelKindMismatch(FailedPrecondition):
    """The model {subject} is of another kind: it cannot do this."""


class ModelWithoutTools(FailedPrecondition):
    """The model {subject} calls no tools."""


class CallLogNotFound(NotFound):
    """No record of a call with this id."""

    resource = "call log"


class GenerationNotFound(NotFound):
    """No stream with this id that can be taken up again."""

    resource = "generation"


class GenerationIdReused(Aborted):
    """A stream of that id answers another request: choose an id of its own for each."""


class TooManyGenerations(ResourceExhausted):
    """So many resumable streams are being written as may be at once: try again later."""


class GenerationLost(Unavailable):
    """The server that wrote the answer is gone."""


class GenerationCancelled(Aborted):
    """The answer was ended by its caller."""


class CredentialNotFound(NotFound):
    """No credential with this id."""

    resource = "credential"


class CredentialNameTaken(AlreadyExists):
    """The provider's credential name {name} is taken."""


class ModelReplacementUnknown(InvalidArgument):
    """No other model of that name."""

    def __init__(self, who: str = "every tenant") -> None:
        """`who`: would have to be able to call it."""
        super().__init__([("replacement", f"is no other model that {who} can call")])


class ModelAddressRefused(InvalidArgument):
    """The server does not call that address for tenants."""

    def __init__(self) -> None:
        super().__init__([("base_url", "is an address of this machine or of a private network")])


class PriceInThePast(InvalidArgument):
    """A price cannot be set for the past."""

    def __init__(self) -> None:
        super().__init__([("effective_time", "has passed")])


class PriceExists(AlreadyExists):
    """The model has a price from that very moment."""


class ModelNotNamed(InvalidArgument):
    """The call names no model and the tenant has no default one."""

    def __init__(self) -> None:
        super().__init__([("model", "is required, since the tenant has no default model")])


@dataclass(frozen=True, slots=True)
class Price:
    """USD per 1,000 tokens; cached input costs as much as other input where the model names no price of its own."""

    input_per_1k: Decimal
    output_per_1k: Decimal
    cached_input_per_1k: Decimal | None = None

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> Decimal:
        """USD for one call, to nine digits, at most MOST_COST. `cached_tokens` are among `prompt_tokens`."""
        cached = self.input_per_1k if self.cached_input_per_1k is None else self.cached_input_per_1k
        thousandfold = (
            (prompt_tokens - cached_tokens) * self.input_per_1k
            + cached_tokens * cached
            + completion_tokens * self.output_per_1k
        )
        return min(thousandfold / 1000, MOST_COST).quantize(_COST_STEP)

    def most(self, prompt_tokens: int, completion_tokens: int) -> Decimal:
        """What so many cost at most, whatever was cached: that may be the dearer."""
        tokens = prompt_tokens, completion_tokens
        return max(self.cost(*tokens), self.cost(*tokens, cached_tokens=prompt_tokens))


@dataclass(frozen=True, slots=True)
class Model:
    """A model that can be called, with its price now (None: no price is in force, so its calls cost nothing known)."""

    id: UUID
    name: str
    provider: str
    model_type: ModelType
    description: str | None
    max_tokens: int | None
    dimensions: int | None
    supports_streaming: bool
    supports_function_calling: bool
    base_url: str | None
    upstream_name: str | None
    status: ModelStatus
    deprecates_at: datetime | None
    replacement: str | None
    """The name of the model to use in its place."""
    revision: int
    created_at: datetime
    updated_at: datetime
    price: Price | None
    own: bool = False
    """Whether it is a tenant's own: reached with that tenant's credential, and never with the server's."""

    @property
    def upstream(self) -> str:
        """What its provider calls it."""
        return self.upstream_name or self.name

    def deprecated(self, moment: datetime) -> Deprecated | None:
        """What callers are told who should use another."""
        if self.status == "deprecated" or (self.deprecates_at is not None and self.deprecates_at <= moment):
            return Deprecated(self.name, self.replacement)
        return None


@dataclass(frozen=True, slots=True)
class Deprecated:
    """The model should not be used any more; `replacement`: the one to use in its place."""

    model: str
    replacement: str | None


@dataclass(frozen=True, slots=True)
class NewModel:
    """What is said of a new model, the platform's or a tenant's own."""

    name: str
    provider: str
    model_type: ModelType
    description: str | None
    max_tokens: int | None
    dimensions: int | None
    supports_streaming: bool
    supports_function_calling: bool
    base_url: str | None
    upstream_name: str | None
    price: Price


def address(base_url: str | None) -> str | None:
    """The same for every way to write it: a slash at its end says nothing."""
    return base_url and base_url.rstrip("/")


def check_base_url(base_url: str | None) -> None:
    """Raises InvalidRequest for an address that no model can have."""
    if base_url is not None:
        try:
            check_endpoint_url(base_url)
        except ValueError as error:
            raise InvalidRequest([("base_url", str(error))]) from None


def check_reachable(provider: str, values: Mapping[str, object]) -> None:
    """Raises InvalidRequest for a change that leaves a custom model without an address."""
    if provider == "custom" and values.get("base_url", "") is None:
        raise InvalidRequest([("base_url", "a custom model needs a base_url")])


@dataclass(frozen=True, slots=True)
class Credential:
    """A tenant's own key to a provider, as it may be shown."""

    id: UUID
    provider: str
    name: str
    base_url: str | None
    last_four: str
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewCredential:
    """What a tenant says of a key that it brings. `base_url`: the only address that it is sent to; None: the
    provider's own.
    """

    provider: str
    name: str
    base_url: str | None


@dataclass(frozen=True, slots=True)
class SealedCredential:
    """A credential as it lies, with the data key that it lies under. Never leaves the slice."""

    id: UUID
    ciphertext: bytes
    nonce: bytes
    wrapped_key: bytes


@dataclass(frozen=True, slots=True)
class CallLog:
    """The record of one finished, failed or cancelled call of one model.

    `created_at`: when the call began: it counts in that day, and in the limits of that month.
    `outage`: in what way its provider was not there, in small letters as Outage has it.
    `total_cost`: USD at the price in force when it ran. `route`: the alias that was called. `attempts`: how often the
    model was asked.
    """

    id: UUID
    user_id: UUID | None
    model_id: UUID
    kind: CallKind
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    total_tokens: int
    total_cost: Decimal | None
    latency_ms: int | None
    time_to_first_token_ms: int | None
    status: CallStatus
    error_code: str | None
    finish_reason: str | None
    trace_id: str | None
    request_id: str | None
    created_at: datetime
    api_key_id: UUID | None
    route: str | None
    attempts: int
    reasoning_tokens: int
    prompt_template_version_id: UUID | None
    cached: bool
    workflow_execution_id: UUID | None = None
    task_id: UUID | None = None
    outage: str | None = None
