"""Documents read, cut into pieces and indexed: what is loaded in the processes that do it alone."""

from __future__ import annotations

import os

from server.knowledge.chunking import chunks
from server.knowledge.parsing.parse import parse
from server.knowledge.tokens import Tokens, local_tokens
from server.knowledge.words import tsvector_of, words
from server.knowledge.worker import Indexed, Metadata


def split(
    data: bytes, mime_type: str, chunk_size: int, chunk_overlap: int, charset: str | None = None
) -> tuple[Metadata, list[Indexed]]:
    """A document, read and cut into pieces. `mime_type`: as `detect` told it; sizes: in tokens; `charset`: as whoever
    sent it said. Raises as `parse` does, and ModelNotConfigured where the tokens cannot be counted.
    """
    _alone()
    parsed = parse(data, mime_type, charset)
    found = Metadata(parsed.title, parsed.author, parsed.pages, len(parsed.text))
    pieces = chunks(parsed, chunk_size, chunk_overlap)
    return found, [Indexed(piece, tsvector_of(words(piece.content))) for piece in pieces]


def indexed(text: str) -> tuple[int, str]:
    """How many tokens a text has, and its words as text search keeps them."""
    _alone()
    return Tokens(text, local_tokens).count(0, len(text)), tsvector_of(words(text))


def _alone() -> None:
    # Each process does one piece of work, on one core: threads for every core would take memory and others' turns.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
