"""A document's bytes as text with structure. Whatever they are: the text, or one of the errors that are named here."""

from __future__ import annotations

from server.knowledge.parsing import docx, html, markdown, pdf
from server.knowledge.parsing.charset import decoded
from server.knowledge.parsing.parsed import Builder, Parsed
from server.knowledge.parsing.types import CSV, DOCX, HTML, JSON, MARKDOWN, PDF, PLAIN, unsupported


def parse(data: bytes, mime_type: str, charset: str | None = None) -> Parsed:
    """The document, of one of the types in SUPPORTED. `charset`: as whoever sent it said, of those that are text.

    Raises DocumentTypeUnsupported, DocumentUnreadable, DocumentEncrypted, DocumentWithoutText, DocumentTooLarge. It may
    take long and much memory, and what it calls is not all Python: run it where it may be ended.
    """
    if mime_type == PDF:
        return pdf.parse(data)
    if mime_type == DOCX:
        return docx.parse(data)
    if mime_type == HTML:
        return html.parse(data, charset)
    if mime_type == MARKDOWN:
        return markdown.parse(decoded(data, charset))
    if mime_type in (PLAIN, CSV, JSON):
        return _plain(decoded(data, charset))
    raise unsupported(mime_type)


def _plain(text: str) -> Parsed:
    builder = Builder()
    builder.add(text)
    return builder.built()
