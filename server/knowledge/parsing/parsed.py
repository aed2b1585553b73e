"""A document's text and what is known of its parts, and how both are put together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from server.knowledge.errors import DocumentTooLarge, DocumentWithoutText

MOST_CHARACTERS = 50_000_000
"""Of text, in one document."""

_MOST_MARKS = 100_000
_MOST_TITLE = 500
_MOST_AUTHOR = 255
_MOST_HEADING = 300
# Control characters but tab and newline, lone surrogates, what is no character. PostgreSQL takes no NUL.
_UNWANTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]")
_NEWLINE = re.compile("\r\n?|\x85|\u2028|\u2029|[\x0b\x0c]")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Mark:
    """From this offset on the text is on that page and under these headings, until the next mark.

    `offset`: in characters. `page`: from 1, None where there are none. `headings`: from the outermost to the innermost.
    """

    offset: int
    page: int | None
    headings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document as text, in NFC, lines ended by a line feed.

    `marks`: sorted by offset. `blocks`: (start, end) of code and tables, which are better left whole. `pages`: how many
    there are, None where there are none.
    """

    text: str
    marks: Sequence[Mark] = ()
    blocks: Sequence[tuple[int, int]] = ()
    title: str | None = None
    author: str | None = None
    pages: int | None = None


def normalised(text: str) -> str:
    """The text as it is kept: in NFC, with one kind of line end, without what nobody sees or PostgreSQL refuses."""
    return unicodedata.normalize("NFC", _UNWANTED.sub("", _NEWLINE.sub("\n", text)))


def one_line(text: str | None, most: int) -> str | None:
    """It without line ends, cut to so many characters; None where nothing is left."""
    if text is None:
        return None
    # Cut first, since it may be megabytes; generously, since white space goes.
    return _SPACE.sub(" ", normalised(text[: most * 10])).strip()[:most].rstrip() or None


class Builder:
    """Puts a document's text together, part by part. Raises DocumentTooLarge as soon as it is."""

    def __init__(self, most_characters: int = MOST_CHARACTERS) -> None:
        self._most = most_characters
        self._parts: list[str] = []
        self._length = 0
        self._tail = ""
        self._marks: list[Mark] = []
        self._blocks: list[tuple[int, int]] = []
        self._block = 0
        self._page: int | None = None
        self._headings: list[tuple[int, str]] = []

    def add(self, text: str) -> None:
        """Text of a document, as it is."""
        if self._length + len(text) > 2 * self._most:  # before it is copied
            raise self._too_large()
        text = normalised(text)
        if not text:
            return
        # Parts in NFC may be another text in NFC where they meet.
        if self._tail and not unicodedata.is_normalized("NFC", self._tail + text[:1]):
            text = "\n" + text
        self._length += len(text)
        if self._length > self._most:
            raise self._too_large()
        self._parts.append(text)
        self._tail = (self._tail + text[-2:])[-2:]

    def paragraph(self, text: str) -> None:
        """A paragraph, apart from what is before it; nothing where it is white."""
        text = text.strip()
        if text:
            self.gap()
            self.add(text)

    def gap(self) -> None:
        """An empty line, unless nothing is before it."""
        if self._parts:
            self.add("\n\n"[len(self._tail) - len(self._tail.rstrip("\n")) :])

    def line(self, text: str) -> None:
        """Text on lines of its own."""
        if self._tail and self._tail[-1] != "\n":
            self.add("\n")
        self.add(text)

    def heading(self, level: int, text: str) -> None:
        """A heading, and what comes is under it, as far as one is that long. `level`: from 1."""
        title = one_line(text, _MOST_HEADING)
        if title is None:
            return
        self.gap()
        self.under(level, title)
        self.add(_SPACE.sub(" ", normalised(text)).strip())
        self.gap()

    def under(self, level: int, title: str) -> None:
        """What comes is under this heading, which is itself no part of the text."""
        while self._headings and self._headings[-1][0] >= level:
            self._headings.pop()
        self._headings.append((level, title))
        self._mark()

    def page(self, number: int) -> None:
        """What comes is on that page."""
        self._page = number
        self._mark()

    def begin_block(self) -> None:
        """What is added until it ends is better left whole."""
        self.gap()
        self._block = self._length

    def end_block(self) -> None:
        if self._length > self._block:
            self._blocks.append((self._block, self._length))

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def built(self, title: str | None = None, author: str | None = None, pages: int | None = None) -> Parsed:
        """The document. Raises DocumentWithoutText."""
        text = self.text
        if not text or text.isspace():
            raise DocumentWithoutText
        return Parsed(
            text, self._marks, self._blocks, one_line(title, _MOST_TITLE), one_line(author, _MOST_AUTHOR), pages
        )

    def _mark(self) -> None:
        mark = Mark(self._length, self._page, tuple(title for _, title in self._headings))
        if self._marks and self._marks[-1].offset == self._length:
            self._marks[-1] = mark
        else:
            self._marks.append(mark)
        if len(self._marks) > _MOST_MARKS:
            raise DocumentTooLarge(f"{_MOST_MARKS:,} headings and pages")

    def _too_large(self) -> DocumentTooLarge:
        return DocumentTooLarge(f"{self._most:,} characters of text")
