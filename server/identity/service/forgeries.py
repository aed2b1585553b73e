"""Credentials that somebody has made up: told to the tenants that they name."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeAlias
from uuid import UUID

import structlog

from server.db.database import Database
from server.identity.domain import ApiKeyInvalid, OneTimeTokenInvalid, RefreshTokenInvalid, TokenInvalid
from server.identity.ports import AuditLog, Tenants
from server.identity.store import api_keys as key_store
from server.identity.store import keys as signing_store
from server.identity.tokens import (
    KeySecret,
    OneTimeToken,
    RefreshToken,
    claimed_key,
    claimed_tenant,
    is_signed_with,
)
from server.kernel.audit import Change
from server.kernel.errors import DatabaseUnavailable
from server.kernel.principal import Call, call_or_none, within
from server.kernel.tasks import going_on

_log = structlog.get_logger("atrium.forgeries")

_SECONDS = 1.0
_TOLD_SECONDS = 60.0
# Each may cost a look into the database. Whoever makes up more than that keeps nobody else's from being looked at.
_MOST_WAITING = 500
_MOST_OF_NETWORK = 50
_MOST_GATHERED = 10_000

_REASONS = {
    "access_tokens": TokenInvalid.reason,
    "api_keys": ApiKeyInvalid.reason,
    "refresh_tokens": RefreshTokenInvalid.reason,
    "one_time_tokens": OneTimeTokenInvalid.reason,
}

Credential: TypeAlias = str | KeySecret | RefreshToken | OneTimeToken
"""An access token, or one of those whose secret is apart from what says where it lies."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A call that was refused, and the credential that it came with."""

    call: Call
    credential: Credential


@dataclass(slots=True)
class _Gathered:
    """What came from one network in one tenant's name and is not told yet. `call`: the first of these calls."""

    call: Call
    counts: Counter[str] = field(default_factory=Counter)
    told_at: float | None = None


class Forgeries:
    """Gathers access tokens that no key of ours has signed, and API keys, refresh tokens and codes of mails whose
    secret is wrong, and tells of them aside.

    Refusing them stays as cheap as it is, and takes no longer for a tenant that there is than for one that there is
    not. A tenant is told of the calls of one network once a minute at most, by each process.
    """

    def __init__(
        self, database: Database, tenants: Tenants, audit: AuditLog, clock: Callable[[], float] = monotonic
    ) -> None:
        """`clock`: seconds."""
        self._database = database
        self._tenants = tenants
        self._audit = audit
        self._clock = clock
        self._waiting: deque[_Seen] = deque()
        self._of_network: Counter[str | None] = Counter()
        self._passed_over = 0
        self._gathered: dict[tuple[str | None, UUID], _Gathered] = {}

    def see(self, credential: Credential) -> None:
        """The running call came with an access token or a key that is not good, and may be made up; or with a refresh
        token or a code that is: the session or the code is there, and its secret is another.
        """
        call = call_or_none()
        if call is None:
            return
        if len(self._waiting) >= _MOST_WAITING or self._of_network[call.network] >= _MOST_OF_NETWORK:
            self._passed_over += 1
            return
        self._of_network[call.network] += 1
        self._waiting.append(_Seen(call, credential))

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tells of them every moment, and of what is left at the end."""
        try:
            async with going_on(self.tell, "forged credentials", every=_SECONDS):
                yield
        finally:
            await self.tell(all_of_it=True)

    async def tell(self, *, all_of_it: bool = False) -> None:
        """Writes down what may be told now. `all_of_it`: also what would wait for its minute to pass."""
        try:
            await self._gather()
            for key, gathered in list(self._gathered.items()):
                _, tenant_id = key
                told_at = gathered.told_at
                if not all_of_it and told_at is not None and self._clock() - told_at < _TOLD_SECONDS:
                    continue
                # Asked of a tenant whose keys were looked at, too: it may have been purged meanwhile.
                if gathered.counts and await self._tenants.exists(tenant_id):
                    await self._write(tenant_id, gathered)
                else:
                    del self._gathered[key]
        except DatabaseUnavailable:  # it is told when the database is back
            return

    async def _gather(self) -> None:
        """Adds up what waits, by network and tenant. Raises DatabaseUnavailable; what was not looked at waits on."""
        for _ in range(len(self._waiting)):
            seen = self._waiting.popleft()
            try:
                tenant_id, kind = await self._concerned(seen.credential)
            except (DatabaseUnavailable, asyncio.CancelledError):
                self._waiting.appendleft(seen)
                raise
            network = seen.call.network
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]
            if tenant_id is None:
                continue
            key = network, tenant_id
            if key not in self._gathered and len(self._gathered) >= _MOST_GATHERED:
                self._passed_over += 1
                continue
            gathered = self._gathered.setdefault(key, _Gathered(seen.call))
            if not gathered.counts:
                gathered.call = seen.call
            gathered.counts[kind] += 1
        if self._passed_over:
            _log.warning("too many forged credentials to look at each", passed_over=self._passed_over)
            self._passed_over = 0

    async def _concerned(self, credential: Credential) -> tuple[UUID | None, str]:
        """The tenant that a made-up credential names, None where it names none or was good once; and what it is."""
        if isinstance(credential, RefreshToken):
            return credential.tenant_id, "refresh_tokens"
        if isinstance(credential, OneTimeToken):
            return credential.tenant_id, "one_time_tokens"
        if isinstance(credential, str):
            tenant_id = claimed_tenant(credential)
            forged = tenant_id is not None and not await self._is_ours(credential)
            return tenant_id if forged else None, "access_tokens"
        async with self._database.tenant_tx(credential.tenant_id, read_only=True) as tx:
            forged = await key_store.is_forged(tx, credential.prefix, credential.hash)
        return credential.tenant_id if forged else None, "api_keys"

    async def _is_ours(self, token: str) -> bool:
        """Whether a key of ours has signed the token, one that was retired since or that is new to this process too."""
        kid = claimed_key(token)
        if kid is None:
            return False
        async with self._database.global_tx() as tx:
            public_key = await signing_store.public_key(tx, kid)
        return public_key is not None and is_signed_with(token, public_key)

    async def _write(self, tenant_id: UUID, gathered: _Gathered) -> None:
        details = {**gathered.counts, "method": gathered.call.method}
        reason = _REASONS[next(iter(gathered.counts))]
        change = Change("access.forge", "access", details=details, status="failure", error_message=reason)
        with within(gathered.call):  # it is its address and its ids that are told
            async with self._database.tenant_tx(tenant_id) as tx:
                await self._audit.record(tx, change)
        gathered.counts.clear()
        gathered.told_at = self._clock()
