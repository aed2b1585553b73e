"""Who is calling, and the call they make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from server.kernel.addresses import network_of
from server.kernel.errors import PermissionMissing
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.permissions import Decided, Permission

SUPER_ADMIN = "super_admin"
"""The code of the role that the platform's own administrators hold; in the platform's tenant no other can bear it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller, with what they may do at this moment: a user in a session, or a program with a user's key.

    `tenant_id`: the tenant they act in, their own unless `home_tenant_id` names another: the platform's administrators
    may act inside any tenant. `unverified`: their own tenant asks for a verified e-mail address and theirs is not; they
    may do what verifying needs, and their roles allow nothing.
    """

    tenant_id: UUID
    user_id: UUID
    session_id: UUID | None
    permissions: frozenset[Permission]
    api_key_id: UUID | None = None
    home_tenant_id: UUID | None = None
    allowed_models: frozenset[str] | None = None
    """The names of the models that their key is limited to; None: every model."""
    key_expires_at: datetime | None = None
    """When their key stops being good; None: never, or there is no key."""
    unverified: bool = False
    roles: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """The codes of the roles that they hold now, whether these decide anything or not."""
    decided: Decided = field(default_factory=dict, compare=False, repr=False)
    """What their roles say of each permission, before a key's scopes take some away."""
    ends: Mapping[Permission, datetime] = field(default_factory=dict, compare=False, repr=False)
    """When they stop holding permissions, of those that they were given for a time."""

    @property
    def home(self) -> UUID:
        """The tenant that they belong to."""
        return self.home_tenant_id or self.tenant_id

    @property
    def is_platform(self) -> bool:
        """True for the platform's own people, the only ones who may look past their tenant."""
        return self.home == PLATFORM_TENANT_ID

    @property
    def is_super_admin(self) -> bool:
        """True for somebody who is signed in and holds the platform's own role: never for a key, whoever's it is.

        Another role of theirs may decide all that it gives; they hold it all the same.
        """
        return self.is_platform and self.session_id is not None and SUPER_ADMIN in self.roles

    @property
    def member_id(self) -> UUID | None:
        """Their id where they belong to the tenant they act in; what others make there has no owner in it, and what
        they delete there nobody deleted: the audit log names them.
        """
        return None if self.home_tenant_id else self.user_id

    def require(self, permission: Permission) -> None:
        """Raises PermissionMissing where they do not hold it."""
        if permission not in self.permissions:
            raise PermissionMissing(permission=permission)

    def inside(self, tenant_id: UUID) -> Principal:
        """The same caller acting inside another tenant."""
        return replace(self, tenant_id=tenant_id, home_tenant_id=self.home)


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
    service: str | None = None
    """The program that carries the caller's credential here: the common name of its certificate, under mutual TLS."""
    confirm: Callable[[], Awaitable[None]] | None = None
    """Of a stream: raises where the caller has lost the right to it meanwhile."""
    needed: set[Permission] = field(default_factory=set)
    """What else than its method asks for it takes to go on with it."""
    renewed: Callable[[], None] | None = None
    """Of a stream: called when its caller may do other things than before. It may take no time."""
    execution_id: UUID | None = None
    """Of what is done for a workflow: its execution."""
    task_id: UUID | None = None
    """And the task of that."""
    used: Callable[[int, Decimal | None], None] | None = None
    """Told, of each model that was asked, how many tokens it used and what they cost: USD, None: nothing known."""
    answer_stands: bool = True
    """Whether the answer may be given again to the same idempotency key: not where a part of it is missing for now."""

    @property
    def caller(self) -> Principal:
        """The verified caller. Only methods that require one may ask."""
        assert self.principal is not None, f"{self.method} asked for the caller of a public call"
        return self.principal

    def need(self, *permissions: Permission) -> None:
        """It takes these too: a stream ends where its caller loses one of them. Raises PermissionMissing."""
        for permission in permissions:
            self.caller.require(permission)
        self.needed.update(permissions)

    def renew(self, principal: Principal) -> None:
        """What goes on is done by the caller as they are now."""
        before, self.principal = self.principal, principal
        if self.renewed is not None and before is not None and before.permissions != principal.permissions:
            self.renewed()

    @property
    def network(self) -> str | None:
        """What it is counted under where callers are counted by where they call from; None for a socket file."""
        return None if self.address is None else network_of(self.address)

    @property
    def traceparent(self) -> str:
        """What an upstream call carries on: W3C Trace Context, level 1, always sampled."""
        return f"00-{self.trace_id}-{self.span_id}-01"


_current: ContextVar[Call] = ContextVar("call")
begin_call = _current.set
current_call = _current.get


@contextmanager
def within(call: Call) -> Iterator[None]:
    """What is done here is done for that call, after it."""
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)


def call_or_none() -> Call | None:
    """The running call; None for what the server does by itself."""
    return _current.get(None)
