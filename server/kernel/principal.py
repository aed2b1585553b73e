"""Who is calling, and the call they make."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID

from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Permission


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller: a user of one tenant, in one session, with what their roles allow at this moment.

    `unverified`: their tenant asks for a verified e-mail address and theirs is not; they may do what verifying needs,
    and their roles allow nothing.
    """

    tenant_id: UUID
    user_id: UUID
    session_id: UUID
    permissions: frozenset[Permission]
    unverified: bool = False

    @property
    def is_platform(self) -> bool:
        """True for the platform's own people, the only ones who may look past their tenant."""
        return self.tenant_id == PLATFORM_TENANT_ID


@dataclass(slots=True)
class Call:
    """One call on its way through the server; `principal` is None until it is verified, and for public methods."""

    method: str
    request_id: str
    trace_id: str
    span_id: str
    address: str | None = None
    user_agent: str | None = None
    principal: Principal | None = None

    @property
    def caller(self) -> Principal:
        """The verified caller. Only methods that require one may ask."""
        assert self.principal is not None, f"{self.method} asked for the caller of a public call"
        return self.principal

    @property
    def traceparent(self) -> str:
        """What an upstream call carries on: W3C Trace Context, level 1, always sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


_current: ContextVar[Call] = ContextVar("call")
begin_call = _current.set
current_call = _current.get


def call_or_none() -> Call | None:
    """The running call; None for what the server does by itself."""
    return _current.get(None)
