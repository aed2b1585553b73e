"""Streams of rows, between the kernel's parts and responses, whose fields are called the same in every service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import orjson

from server.kernel.parts import Beat, Ended, Lines, Place
from server.rpc.pages import Pages

Response = TypeVar("Response")


def place(pages: Pages, request: Any) -> Place | None:
    """Behind what the request's stream is taken up; None: it begins. Raises PageTokenInvalid."""
    cursor = pages.after(request)
    return None if cursor is None else Place(*orjson.loads(cursor))


def response(pages: Pages, request: Any, kind: Callable[..., Response], part: Lines | Beat | Ended) -> Response:
    """The part as a response of this kind, to that request."""
    match part:
        case Lines(seq, lines, behind):
            cursor = None if behind is None else orjson.dumps([behind.seq, behind.rows, behind.table, behind.key])
            return kind(seq=seq, lines=lines, cursor=pages.behind(request, cursor))
        case Beat(seq):
            return kind(seq=seq, heartbeat={})
    return kind(seq=part.seq, ended={"rows": part.rows})
