"""Pages of a list, and places in a stream, between requests and responses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from server.kernel.errors import PageTokenInvalid
from server.kernel.paging import Page, PageRequest, PageTokens
from server.kernel.principal import current_call


class Pages:
    """Reads and writes page tokens, each bound to the caller's tenant, the method and the other arguments."""

    def __init__(self, tokens: PageTokens) -> None:
        self._tokens = tokens

    def read(self, request: Any) -> PageRequest:
        """The page that the request asks for. Raises PageTokenInvalid."""
        return self._tokens.request(request.page_size, request.page_token, _scope(request))

    def next(self, request: Any, page: Page[Any]) -> str:
        """The token of the page behind this one; empty where it is the last."""
        return self.token(request, page.next_cursor)

    def token(self, request: Any, cursor: UUID | None) -> str:
        """The token of the page behind that id; empty where nothing follows."""
        return self._tokens.token(cursor, _scope(request))

    def cursor(self, request: Any) -> bytes | None:
        """Behind what the page asked for begins, where that is no id. Raises PageTokenInvalid."""
        return self._tokens.opened(request.page_token, _scope(request))

    def behind(self, request: Any, cursor: bytes | None) -> str:
        """The token of the page, or the cursor of the stream, behind that; empty where nothing follows."""
        return self._tokens.sealed(cursor, _scope(request))

    def after(self, request: Any) -> bytes | None:
        """Behind what a stream is taken up; None: it begins. Raises PageTokenInvalid."""
        try:
            return self._tokens.opened(request.after_cursor, _scope(request))
        except PageTokenInvalid:
            raise PageTokenInvalid("after_cursor") from None


def _scope(request: Any) -> bytes:
    call = current_call()
    arguments = type(request)()
    arguments.CopyFrom(request)
    for name in ("page_size", "page_token", "after_cursor"):
        if name in arguments.DESCRIPTOR.fields_by_name:
            arguments.ClearField(name)
    return b"\0".join(
        (call.caller.tenant_id.bytes, call.method.encode(), arguments.SerializeToString(deterministic=True))
    )
