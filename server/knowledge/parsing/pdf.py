"""PDF as text, page by page, with the headings of its outline."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import islice

import pypdfium2
from pypdfium2 import PdfDocument, PdfiumError

from server.knowledge.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable
from server.knowledge.parsing.parsed import Builder, Parsed, normalised, one_line

MOST_PAGES = 20_000

_MOST_OUTLINE = 10_000
_MOST_DEPTH = 6
_MOST_HEADING = 300
_HYPHEN = re.compile("[\x02\ufffe\xad]\r?\n")
"""What PDFium makes of a hyphen that divides a word at the end of a line."""

_ENDS = frozenset(".!?:;…。！？：；")
_CLOSING = "\"'”’)]}」』）】》"
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")
_BEGINS = re.compile(r"[-•*·–—▪◦]|\(?(?:\d{1,3}|[a-zA-Z]|[一二三四五六七八九十]{1,3})[.)、]")
_FULL = 0.7
"""Of the longest line of a page: a shorter one ends where its writer ended it."""


def parse(data: bytes, most_pages: int = MOST_PAGES) -> Parsed:
    """The text of a PDF. Raises DocumentEncrypted, DocumentUnreadable, DocumentTooLarge, DocumentWithoutText."""
    document = _opened(data)
    try:
        return _read(document, most_pages)
    finally:
        document.close()


def _opened(data: bytes) -> PdfDocument:
    try:
        return PdfDocument(data)
    except PdfiumError as error:
        if error.err_code == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise DocumentEncrypted from None
        if error.err_code == pypdfium2.raw.FPDF_ERR_SECURITY:
            raise DocumentUnreadable("its encryption is not one that is known") from None
        raise DocumentUnreadable("it is not a whole PDF") from None


def _read(document: PdfDocument, most_pages: int) -> Parsed:
    pages = len(document)
    if pages > most_pages:
        raise DocumentTooLarge(f"{most_pages:,} pages")
    outline = _outline(document)
    builder = Builder()
    for index in range(pages):
        text = _text(document, index)
        builder.gap()
        builder.page(index + 1)
        done = 0
        for level, title in outline.get(index, ()):
            # The outline says which page a heading is on; where it is there, the page does.
            found = text.find(title, done)
            if found >= 0:
                builder.add(text[done:found])
                done = found
            builder.under(level, title)
        builder.add(text[done:])
    fields = document.get_metadata_dict(skip_empty=True)
    return builder.built(fields.get("Title"), fields.get("Author"), pages)


def _outline(document: PdfDocument) -> dict[int, list[tuple[int, str]]]:
    """The headings of each page, by its index: (level, title)."""
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)
    try:
        for bookmark in islice(document.get_toc(max_depth=_MOST_DEPTH), _MOST_OUTLINE):
            destination = bookmark.get_dest()
            index = None if destination is None else destination.get_index()
            title = one_line(bookmark.get_title(), _MOST_HEADING)
            if index is not None and title is not None:
                found[index].append((bookmark.level + 1, title))
    except PdfiumError:
        return found  # it has as much as could be read
    return found


def _text(document: PdfDocument, index: int) -> str:
    """A page's; none where the page itself is broken, since the others may be whole."""
    try:
        page = document[index]
    except PdfiumError:
        return ""
    try:
        text_page = page.get_textpage()
        try:
            return _joined(text_page.get_text_bounded())
        finally:
            text_page.close()
    except PdfiumError:
        return ""
    finally:
        page.close()


def _joined(text: str) -> str:
    """A page's text with its paragraphs on one line each: lines that end only where the column does go on."""
    lines = [line.rstrip() for line in normalised(_HYPHEN.sub("", text)).split("\n")]
    longest = max(map(len, lines))
    joined: list[str] = []
    before = ""
    for line in lines:
        if before and line and len(before) >= _FULL * longest and _goes_on(before, line):
            joined.append("" if _CJK.match(before[-1]) and _CJK.match(line[0]) else " ")
        elif joined:
            joined.append("\n")
        joined.append(line.lstrip() if joined and joined[-1] == " " else line)
        before = line
    return "".join(joined)


def _goes_on(before: str, line: str) -> bool:
    return before.rstrip(_CLOSING)[-1:] not in _ENDS and not _BEGINS.match(line)
