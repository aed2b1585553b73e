"""What was read, remembered until the database tells that it changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from math import inf
from time import monotonic, time
from typing import Generic, Protocol, TypeVar
from uuid import UUID

# A change is told by notification within milliseconds; the life of an entry only bounds what a lost one could cost.
_LIFE_SECONDS = 30.0
# As long as nobody can say that nothing was missed.
_LIFE_SECONDS_UNSURE = 0.7
_MOST = 50_000
# Of so many tenants it is noted, while something is read, that they changed; of more, everything did.
_MOST_CHANGED = 1_000


class Perishable(Protocol):
    """Something that is so until then, unless it changes before."""

    @property
    def user(self) -> tuple[UUID, UUID | None]:
        """The tenant and the user that it is of; None: of the tenant itself."""

    @property
    def good_until(self) -> datetime:
        """When something that it is made of expires next."""


T = TypeVar("T", bound=Perishable)


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    what: T
    read_at: float
    good_until: float
    weight: int


class Memory(Generic[T]):
    """Remembers by name, for `_LIFE_SECONDS` and never past a change that the database tells of.

    An entry is good for under a second after it was read, or after the last moment at which it is certain that whatever
    was told has been heard: so a revocation holds everywhere within one, the telling interrupted or not.
    """

    def __init__(self, most: int = _MOST, weigh: Callable[[T], int] = lambda _: 1) -> None:
        """`most`: how much is remembered, as `weigh` has it: how many names, where all weigh the same."""
        self._most = most
        self._weigh = weigh
        self._weight = 0
        self._known: dict[Hashable, _Known[T]] = {}
        # Of what is known, by whom it is of: a change touches no others.
        self._names: dict[UUID, dict[UUID | None, set[Hashable]]] = {}
        self._heard_at = -inf
        self._reading = 0
        # Changes are counted: of whom the last one was matters to what is being read, and to nothing else.
        self._changes = 0
        self._changed: dict[UUID, int] = {}
        self._forgotten = 0

    def recall(self, name: Hashable) -> T | None:
        """What is remembered under that name and still good."""
        known = self._known.get(name)
        if known is None or known.good_until <= time():
            return None
        now = monotonic()
        if now - known.read_at > _LIFE_SECONDS or now - max(known.read_at, self._heard_at) > _LIFE_SECONDS_UNSURE:
            return None
        return known.what

    async def read(self, name: Hashable, read: Callable[[], Awaitable[T | None]]) -> T | None:
        """What is read now, to be remembered under that name. Raises what `read` raises."""
        # What changes while it is read may or may not be in it: it is used for this call and not remembered.
        changes, read_at = self._changes, monotonic()
        self._reading += 1
        try:
            what = await read()
            if what is not None and self._same(what.user[0], changes):
                self._keep(name, _Known(what, read_at, what.good_until.timestamp(), self._weigh(what)))
        finally:
            self._reading -= 1
            if not self._reading:
                self._changed.clear()
        return what

    def changed(self, tenant_id: UUID, user_id: UUID | None = None) -> None:
        """Something about this user changed, or (None) about the tenant and everyone in it."""
        self._changes += 1
        if self._reading:
            self._changed[tenant_id] = self._changes
            if len(self._changed) > _MOST_CHANGED:
                self._changed.clear()
                self._forgotten = self._changes
        self._drop(tenant_id, user_id)

    def forget(self) -> None:
        """Something about everything changed."""
        self._changes += 1
        self._forgotten = self._changes
        self._clear()

    def listening(self, connected: bool) -> None:
        """Changes are told from now on, or not any more; what may have been missed in between is forgotten."""
        self.forget()
        self._heard_at = monotonic() if connected else -inf

    def heard(self, until: float) -> None:
        """Whatever was told before then, which is a reading of `monotonic()`, has been heard."""
        self._heard_at = until

    def _same(self, tenant_id: UUID, since: int) -> bool:
        """Whether nothing of this tenant has changed since so many changes."""
        return max(self._forgotten, self._changed.get(tenant_id, 0)) <= since

    def _keep(self, name: Hashable, known: _Known[T]) -> None:
        if (before := self._known.get(name)) is not None and before.what.user != known.what.user:
            self._drop(*before.what.user)
        elif before is not None:
            self._weight -= before.weight
            del self._known[name]
        if self._weight + known.weight > self._most:
            self._clear()
        self._known[name] = known
        self._weight += known.weight
        tenant, user = known.what.user
        self._names.setdefault(tenant, {}).setdefault(user, set()).add(name)

    def _drop(self, tenant_id: UUID, user_id: UUID | None) -> None:
        users = self._names.get(tenant_id, {})
        for user in list(users) if user_id is None else [user_id]:
            for name in users.pop(user, ()):
                self._weight -= self._known.pop(name).weight
        if not users:
            self._names.pop(tenant_id, None)

    def _clear(self) -> None:
        self._known.clear()
        self._names.clear()
        self._weight = 0
