"""Pages of a list, and places in a stream, between requests and responses."""

from __future__ import annotations

from typing import Any

from server.kernel.errors import InvalidRequest
from server.kernel.paging import Page, PageRequest, PageTokens
from server.kernel.principal import current_call

_PLACES = ("page_size", "page_token", "after_cursor")
"""Fields of requests that say which part of an answer is asked for."""


class Pages:
    """Reads and writes page tokens, each bound to the caller's tenant, the method and the other arguments."""

    def __init__(self, tokens: PageTokens) -> None:
        self._tokens = tokens

    def read(self, request: Any) -> PageRequest:
        """The page that the request asks for. Raises PageTokenInvalid."""
        return self._tokens.request(request.page_size, request.page_token, _scope(request))

    def next(self, request: Any, page: Page[Any]) -> str:
        """The token of the page behind this one; empty where it is the last."""
        return self._tokens.token(page.next_cursor, _scope(request))

    def behind(self, request: Any) -> bytes | None:
        """What the cursor stands for that a stream is taken up behind; None: it begins. Raises InvalidRequest."""
        if not request.after_cursor:
            return None
        place = self._tokens.unseal(request.after_cursor, _scope(request))
        if place is None:
            raise InvalidRequest([("after_cursor", "is not one that this stream gave for these arguments")])
        return place

    def cursor(self, request: Any, place: bytes) -> str:
        """The cursor that stands for this place in the stream."""
        return self._tokens.seal(place, _scope(request))


def _scope(request: Any) -> bytes:
    call = current_call()
    arguments = type(request)()
    arguments.CopyFrom(request)
    for field in _PLACES:
        if field in arguments.DESCRIPTOR.fields_by_name:
            arguments.ClearField(field)
    return b"\0".join(
        (call.caller.tenant_id.bytes, call.method.encode(), arguments.SerializeToString(deterministic=True))
    )
