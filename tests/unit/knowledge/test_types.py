"""Which type a document is taken for: by its content, then its name, then what was said of it."""

from __future__ import annotations

import pytest

from server.knowledge.errors import DocumentTypeUnsupported
from server.knowledge.parsing.types import CSV, DOCX, HTML, JSON, MARKDOWN, PDF, PLAIN, SUPPORTED, detect
from tests.unit.knowledge import documents

TEXT = b"# some text"


@pytest.mark.parametrize(
    ("name", "declared", "head", "expected"),
    [
        ("a.txt", "text/plain", b"%PDF-1.7 ...", PDF),
        ("a.txt", "", b"<!DOCTYPE html><html>", HTML),
        (None, PLAIN, b"\xef\xbb\xbf <?xml version='1.0'?><html lang=en>", HTML),
        ("a.md", None, b"<html>", MARKDOWN),
        ("a.md", HTML, TEXT, MARKDOWN),
        ("A.CSV", None, TEXT, CSV),
        ("a.jsonl", None, TEXT, JSON),
        ("a.pdf", PDF, TEXT, PLAIN),
        ("notes", "text/markdown; charset=utf-8", TEXT, MARKDOWN),
        ("notes", "application/xhtml+xml", TEXT, HTML),
        ("main.py", "text/x-python", TEXT, PLAIN),
        (None, None, "文".encode("utf-16"), PLAIN),
        (None, None, b"", PLAIN),
        ("a.zip", None, documents.word()[:4096], DOCX),
        ("a.docx", None, b"PK\x03\x04" + b"[Content_Types].xml", DOCX),
    ],
)
def test_content_goes_before_the_name_and_that_before_what_is_said(
    name: str | None, declared: str | None, head: bytes, expected: str
) -> None:
    assert detect(name, declared, head) == expected


@pytest.mark.parametrize(
    ("name", "declared", "head"),
    [
        ("a.txt", PLAIN, b"\x89PNG\r\n\x1a\n"),
        ("a.docx", DOCX, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("a.docx", DOCX, documents.archive([("xl/workbook.xml", b"")])),
        ("a.zip", None, documents.archive([("a.txt", b"a")])),
        ("a.txt", PLAIN, bytes(100)),
        ("a.bin", "application/octet-stream", bytes(range(256))),
    ],
)
def test_what_is_not_read_is_refused_and_what_is_is_named(name: str, declared: str | None, head: bytes) -> None:
    with pytest.raises(DocumentTypeUnsupported) as refused:
        detect(name, declared, head)

    assert all(kind in refused.value.message for kind in SUPPORTED)
    assert [field for field, _ in refused.value.violations] == ["mime_type"]
