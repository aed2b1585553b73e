"""What tables of good and of bad requests are made of."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

Bad = list[tuple[dict[str, Any], str]]
"""Bad requests, each with the field to blame."""

Cases = dict[str, tuple[list[dict[str, Any]], Bad]]
"""Good requests and bad ones, by their messages."""

ID = "0190a0a0-0000-7000-8000-000000000000"
OTHER = "0190a0a0-0000-7000-8000-000000000001"
FUTURE = Timestamp(seconds=4_102_444_800)
PAGE: Bad = [({"page_size": -1}, "page_size"), ({"page_token": "x" * 513}, "page_token")]
PERIOD: Bad = [
    ({"create_time_from": Timestamp(seconds=-1)}, "create_time_from"),
    ({"create_time_until": Timestamp(seconds=10**12)}, "create_time_until"),
]


def ids(*fields: str) -> Bad:
    """Each of the ids missing, and malformed."""
    whole = dict.fromkeys(fields, ID)
    return [({**whole, field: text}, field) for field in fields for text in ("", "7", ID[:-1], f"{ID} ", f"{{{ID}}}")]


def odd(good: dict[str, Any], **fields: list[Any]) -> Bad:
    """The good request with one field at a time set to each of its odd values."""
    return [({**good, field: value}, field) for field, values in fields.items() for value in values]


def mask(*paths: str) -> dict[str, list[str]]:
    return {"paths": list(paths)}
