"""Pages of a list: newest first by id, behind tokens that a client cannot forge or carry elsewhere."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from server.kernel.errors import PageTokenInvalid

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000

_MAC_BYTES = 16
_BEYOND = UUID(int=(1 << 128) - 1)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page: at most `size` items, and the cursor behind the last of them where more follow."""

    items: Sequence[Item]
    next_cursor: UUID | None

    @classmethod
    def cut(cls, rows: Sequence[Item], ids: Sequence[UUID], size: int) -> Page[Item]:
        """A page out of up to `size + 1` rows: the one too many only tells that more follow."""
        if len(rows) <= size:
            return cls(rows, None)
        return cls(rows[:size], ids[size - 1])


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: `size` items before the id `cursor` (None: from the newest)."""

    size: int
    cursor: UUID | None

    @property
    def before(self) -> UUID:
        """The id that every item of the page is smaller than."""
        return self.cursor or _BEYOND


class PageTokens:
    """Makes and reads page tokens: the cursor and a keyed MAC over it and over what the list was asked for."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: the one to sign with first, then those whose tokens are good too."""
        self._keys = keys

    def request(self, size: int, token: str, scope: bytes) -> PageRequest:
        """The page asked for. `scope`: the tenant, the method and the other arguments, which the token is bound to.

        Raises PageTokenInvalid for a token that is not this server's, or another list's.
        """
        return PageRequest(min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), self._read(token, scope))

    def token(self, cursor: UUID | None, scope: bytes) -> str:
        """The token of the page behind `cursor`; empty where nothing follows."""
        if cursor is None:
            return ""
        return self.seal(cursor.bytes, scope)

    def seal(self, place: bytes, scope: bytes) -> str:
        """A token that stands for the place, in that scope alone."""
        return base64.urlsafe_b64encode(place + _mac(self._keys[0], place, scope)).decode()

    def unseal(self, token: str, scope: bytes) -> bytes | None:
        """The place; None for a token that is not this server's, or of another scope."""
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            return None
        place, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        return place if any(hmac.compare_digest(mac, _mac(key, place, scope)) for key in self._keys) else None

    def _read(self, token: str, scope: bytes) -> UUID | None:
        if not token:
            return None
        place = self.unseal(token, scope)
        if place is None:
            raise PageTokenInvalid
        return UUID(bytes=place)


def _mac(key: bytes, cursor: bytes, scope: bytes) -> bytes:
    return hmac.digest(key, cursor + scope, "sha256")[:_MAC_BYTES]
