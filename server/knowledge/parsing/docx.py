"""Word's documents (Office Open XML) as text, with their headings and tables.

Read from a stream, part by part, and never as a tree: what an archive unpacks to may be a thousand times its size.
Names of elements: ECMA-376, part 1, 17 (WordprocessingML).
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable
from xml.parsers import expat
from zipfile import BadZipFile, ZipFile

from server.knowledge.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from server.knowledge.parsing.parsed import Builder, Parsed

_MOST_ENTRIES = 10_000
_MOST_UNPACKED = 200_000_000
"""Bytes of one part."""

_MOST_DEPTH = 500
_PIECE = 1 << 16
_HEADING = re.compile(r"heading ([1-6])", re.IGNORECASE)
_MOST_STYLES = 10_000
_SKIPPED = frozenset({"del", "moveFrom", "instrText", "fallback", "Fallback", "txbxContent"})

Begin = Callable[[str, dict[str, str]], None]


def parse(data: bytes) -> Parsed:
    """The text of a DOCX. Raises DocumentUnreadable, DocumentEncrypted, DocumentTooLarge, DocumentWithoutText."""
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > _MOST_ENTRIES:
                raise DocumentTooLarge(f"{_MOST_ENTRIES:,} parts")
            names = set(archive.namelist())
            if "word/document.xml" not in names:
                raise DocumentUnreadable("it is not a document of Word's")
            styles, core, body = _Styles(), _Core(), _Body()
            if "word/styles.xml" in names:
                _parse(archive, "word/styles.xml", styles)
            if "docProps/core.xml" in names:
                _parse(archive, "docProps/core.xml", core)
            body.levels = styles.levels
            _parse(archive, "word/document.xml", body)
    except (BadZipFile, zlib.error, expat.ExpatError, EOFError, NotImplementedError, OSError, ValueError, LookupError):
        raise DocumentUnreadable("it is not a whole document of Word's") from None
    title = core.fields.get("title") or body.title
    return body.builder.built(title, core.fields.get("creator"))


class _Handler:
    """What is made of a part: local names, without the prefixes of their name spaces."""

    def begin(self, name: str, attributes: dict[str, str]) -> None: ...

    def end(self, name: str) -> None: ...

    def text(self, text: str) -> None: ...


def _parse(archive: ZipFile, part: str, handler: _Handler) -> None:
    if archive.getinfo(part).flag_bits & 1:
        raise DocumentEncrypted
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MOST_DEPTH:
            raise DocumentUnreadable("its elements are nested too deeply")
        handler.begin(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        handler.end(_local(name))

    def doctype(*_: object) -> None:  # what entities are declared in; the standard forbids it
        raise DocumentUnreadable("it declares a document type")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = handler.text, doctype
    unpacked = 0
    with archive.open(part) as stream:
        while piece := stream.read(_PIECE):
            unpacked += len(piece)
            if unpacked > _MOST_UNPACKED:
                raise DocumentTooLarge(f"{_MOST_UNPACKED:,} bytes when it is unpacked")
            parser.Parse(piece)
    parser.Parse(b"", True)  # noqa: FBT003 - it takes no names


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Core(_Handler):
    """The title and the author."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self._name = ""

    def begin(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002
        self._name = name

    def end(self, name: str) -> None:  # noqa: ARG002
        self._name = ""

    def text(self, text: str) -> None:
        if self._name in ("title", "creator"):
            self.fields[self._name] = (self.fields.get(self._name, "") + text)[:10_000]


class _Styles(_Handler):
    """Which styles are headings, and of which level."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._style = ""

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if name == "style":
            self._style = attributes.get("styleId", "")
        elif len(self.levels) < _MOST_STYLES:
            if name == "name" and (heading := _HEADING.fullmatch(value)):
                self.levels[self._style] = int(heading.group(1))
            elif name == "name" and value.lower() == "title":
                self.levels[self._style] = 1
            elif name == "outlineLvl" and value in tuple("012345"):
                self.levels.setdefault(self._style, int(value) + 1)


class _Body(_Handler):
    def __init__(self) -> None:
        self.builder = Builder()
        self.levels: dict[str, int] = {}
        self.title: str | None = None
        self._paragraph: list[str] = []
        self._row: list[str] = []
        self._level: int | None = None
        self._item = False
        self._tables = self._skipped = 0
        self._reads = False

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        if name in _SKIPPED or self._skipped:
            self._skipped += 1
        elif name == "p":
            self._level, self._item = None, False
        elif name == "pStyle":
            self._level = self.levels.get(attributes.get("val", ""))
        elif name == "outlineLvl" and attributes.get("val") in tuple("012345"):
            self._level = int(attributes["val"]) + 1
        elif name == "numPr":
            self._item = True
        elif name == "t":
            self._reads = True
        elif name == "tab":
            self._paragraph.append("\t")
        elif name in ("br", "cr"):
            self._paragraph.append("\n")
        elif name == "noBreakHyphen":
            self._paragraph.append("-")
        elif name == "tbl":
            if not self._tables:
                self.builder.begin_block()
            self._tables += 1

    def end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name == "t":
            self._reads = False
        elif name == "p" and not self._tables:
            self._end_paragraph()
        elif name == "p":
            self._paragraph.append(" ")
        elif name == "tc" and self._tables == 1:
            self._row.append(" ".join("".join(self._paragraph).split()))
            self._paragraph.clear()
        elif name == "tr" and self._tables == 1:
            if any(self._row):
                self.builder.line(" | ".join(self._row))
            self._row.clear()
        elif name == "tbl":
            self._tables -= 1
            if not self._tables:
                self.builder.end_block()

    def text(self, text: str) -> None:
        if self._reads and not self._skipped:
            self._paragraph.append(text)

    def _end_paragraph(self) -> None:
        text = "".join(self._paragraph).strip()
        self._paragraph.clear()
        if not text:
            return
        if self._level is not None:
            if self.title is None and self._level == 1:
                self.title = text
            self.builder.heading(self._level, text)
        elif self._item:
            self.builder.line(f"- {text}")
        else:
            self.builder.paragraph(text)
