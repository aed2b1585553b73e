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
        cursor = self.opened(token, scope)
        return PageRequest(
            min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE), None if cursor is None else UUID(bytes=cursor)
        )

    def token(self, cursor: UUID | None, scope: bytes) -> str:
        """The token of the page behind `cursor`; empty where nothing follows."""
        return self.sealed(None if cursor is None else cursor.bytes, scope)

    def sealed(self, cursor: bytes | None, scope: bytes) -> str:
        """The token of what is behind a cursor that is no id; empty where nothing follows."""
        if cursor is None:
            return ""
        return base64.urlsafe_b64encode(cursor + _mac(self._keys[0], cursor, scope)).decode()

    def opened(self, token: str, scope: bytes) -> bytes | None:
        """The cursor in the token; None where it is empty. Raises PageTokenInvalid."""
        if not token:
            return None
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except ValueError:
            raise PageTokenInvalid from None
        if base64.urlsafe_b64encode(raw).decode() != token:  # there are several ways to write the same bytes
            raise PageTokenInvalid
        cursor, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, cursor, scope)) for key in self._keys):
            raise PageTokenInvalid
        return cursor


def _mac(key: bytes, cursor: bytes, scope: bytes) -> bytes:
    return hmac.digest(key, cursor + scope, "sha256")[:_MAC_BYTES]
