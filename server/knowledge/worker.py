"""What processes of their own do for knowledge: all that reads what a tenant sent.

A server names it, and loads nothing of what it takes: the readers of all types have 15 MB.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.knowledge.chunking import Piece
from server.knowledge.words import words


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a document says of itself, and how long it is. `pages`: None where there are none."""

    title: str | None
    author: str | None
    pages: int | None
    characters: int


@dataclass(frozen=True, slots=True)
class Indexed:
    """A piece, and its words as text search keeps them."""

    piece: Piece
    search_vector: str


def split(
    data: bytes, mime_type: str, chunk_size: int, chunk_overlap: int, charset: str | None = None
) -> tuple[Metadata, list[Indexed]]:
    """A document, read and cut into pieces. `mime_type`: as `detect` told it; sizes: in tokens; `charset`: as whoever
    sent it said. Raises as `parse` does, and ModelNotConfigured where the tokens cannot be counted.
    """
    from server.knowledge import reading

    return reading.split(data, mime_type, chunk_size, chunk_overlap, charset)


def asked(text: str) -> list[str]:
    """The words of a question, as they are asked of text search."""
    return words(text)


def indexed(text: str) -> tuple[int, str]:
    """How many tokens a text has, and its words as text search keeps them."""
    from server.knowledge import reading

    return reading.indexed(text)
