"""Requests that are refused for what is in them."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import Message

SOME_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@dataclass(frozen=True)
class Malformed:
    """A request that breaks the rules, and the fields it must be refused for."""

    request: Message
    fields: tuple[str, ...]
