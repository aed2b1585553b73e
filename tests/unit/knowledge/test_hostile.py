"""Documents that are made to do harm: each is read or refused, in time."""

from __future__ import annotations

import random
import struct
import unicodedata
from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.kernel.errors import DomainError
from server.knowledge.errors import (
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentTypeUnsupported,
    DocumentUnreadable,
    DocumentWithoutText,
)
from server.knowledge.parsing import docx
from server.knowledge.parsing.parse import parse
from server.knowledge.parsing.parsed import Parsed
from server.knowledge.parsing.types import DOCX, HTML, MARKDOWN, PDF, PLAIN, SUPPORTED, detect
from tests.unit.knowledge import documents

REFUSALS = (DocumentEncrypted, DocumentTooLarge, DocumentUnreadable, DocumentWithoutText)
MANY = 20_000
WHOLE = {
    PDF: documents.pdf(documents.writes("Of horns.", heading="Horns"), documents.writes("More.")),
    DOCX: documents.word(),
    HTML: documents.PAGE.encode(),
    MARKDOWN: documents.MARKDOWN.encode(),
    PLAIN: "Text, 文本。".encode("gb18030"),
}


def read(data: bytes, mime_type: str) -> Parsed | DomainError:
    try:
        parsed = parse(data, mime_type)
    except REFUSALS as refusal:
        return refusal
    check(parsed)
    return parsed


def check(parsed: Parsed) -> None:
    """What holds of every document that is read."""
    text = parsed.text
    assert unicodedata.is_normalized("NFC", text)
    assert not set(text) & {"\0", "\r", "\x0b", "\x1b"}
    text.encode()
    offsets = [mark.offset for mark in parsed.marks]
    assert offsets == sorted(set(offsets))
    assert all(0 <= offset <= len(text) for offset in offsets)
    assert all(0 <= start < end <= len(text) for start, end in parsed.blocks)
    for name in (parsed.title, parsed.author):
        assert name is None or (name and "\0" not in name)


def mutated(data: bytes, changes: Sequence[tuple[int, bytes]], end: int) -> bytes:
    changed = bytearray(data)
    for place, put in changes:
        at = place % len(data)
        changed[at : at + len(put)] = put
    return bytes(changed[: len(changed) - end])


@settings(deadline=None, max_examples=300)
@given(data=st.binary(max_size=500), mime_type=st.sampled_from(SUPPORTED))
def test_any_bytes_are_read_or_refused(data: bytes, mime_type: str) -> None:
    read(data, mime_type)
    read((b"%PDF-1.4\n" if mime_type == PDF else b"") + data, mime_type)


@settings(deadline=None, max_examples=200)
@given(text=st.text(), mime_type=st.sampled_from([PLAIN, MARKDOWN, HTML]))
def test_any_text_is_read_or_refused(text: str, mime_type: str) -> None:
    read(text.encode("utf-8", "surrogatepass"), mime_type)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(
    mime_type=st.sampled_from(list(WHOLE)),
    changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.binary(min_size=1, max_size=4)), max_size=20),
    end=st.one_of(st.just(0), st.integers(0, 2_000)),
)
def test_what_was_tampered_with_is_read_or_refused(mime_type: str, changes: list[tuple[int, bytes]], end: int) -> None:
    read(mutated(WHOLE[mime_type], changes, end), mime_type)


@given(name=st.none() | st.text(max_size=20), declared=st.none() | st.text(max_size=20), head=st.binary(max_size=100))
def test_anything_is_of_a_type_or_refused(name: str | None, declared: str | None, head: bytes) -> None:
    with suppress(DocumentTypeUnsupported):
        assert detect(name, declared, head) in SUPPORTED


@pytest.mark.parametrize(
    "text",
    [
        "<div>" * MANY + "deep",
        "<b>" * MANY + "deep",
        "<table><tr><td>" * MANY,
        "<font><p>" * 900 + "x" + "<p>y" * MANY,
        "<a " + " ".join(f"a{number}=1" for number in range(MANY)) + ">x",
        "<ul><li>" * 900 + "x",
        "<!--" * MANY,
        "<![CDATA[" * MANY,
        "&lt;" * MANY + "&#0;&#xd800;&#x110000;",
        "<h1>" * 900,
        "<pre>" * 900 + "x" + "</pre>" * MANY,
        "<svg><style>" * MANY,
        "<template>" * 900 + "x",
        "<p>\v<br>\0</p>" * MANY,
    ],
    ids=lambda text: text[:12],
)
def test_html_that_is_deep_or_wide_is_read_or_refused(text: str) -> None:
    read(text.encode(), HTML)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MANY,
        "*a " * MANY,
        "*" * MANY,
        "a_" * MANY,
        ">" * MANY + "x",
        " ".join("`" * length for length in range(300)),
        "".join("  " * depth + "- a\n" for depth in range(500)),
        "[a](<b" * MANY,
        "".join(f"[{number}]: a\n" for number in range(MANY)),
        "|a" * 200 + "\n" + "|-" * 200 + "\n" + "|\n" * 2_000,
        "![" * MANY,
        "<a " * MANY,
        "a\n" * MANY + "===",
        "&amp" * MANY,
        "---\n" * MANY,
        "#" * 6 + " a\n" + "# a\n" * MANY,
        "99999999999. a\n1. b",
        "\u0301" * MANY,
    ],
    ids=lambda text: text[:12],
)
def test_markdown_that_is_deep_or_ambiguous_is_read_or_refused(text: str) -> None:
    read(text.encode(), MARKDOWN)


LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10 if n else b"ha") for n in range(10))
    + b"]><a>&a9;</a>"
)


@pytest.mark.parametrize(
    "parts",
    [
        [("word/document.xml", b"<p><t>" + b"a" * 210_000_000)],
        [("word/document.xml", LAUGHS)],
        [("word/document.xml", LAUGHS.decode().encode("utf-16"))],
        [("word/document.xml", b"<p>" * MANY)],
        [("word/document.xml", b"<d><p><t>x</t></p></d>"), ("word/styles.xml", b"<s>" + b"\xff" * 10)],
        [(f"{number}", b"") for number in range(MANY)],
        [("word/document.xml", b"<?xml version='1.0' encoding='no-such'?><a/>")],
    ],
    ids=["bomb", "laughs", "laughs in UTF-16", "deep", "broken styles", "many parts", "charset"],
)
def test_an_archive_that_is_made_to_unpack_for_ever_is_refused(parts: list[tuple[str, bytes]]) -> None:
    assert isinstance(read(documents.archive(parts), DOCX), DomainError)


def test_an_archive_that_lies_about_its_sizes_is_refused() -> None:
    data = bytearray(documents.archive([("word/document.xml", b"<p>" + b"a" * 100_000)]))
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, directory + 24, 10)

    assert isinstance(read(bytes(data), DOCX), DomainError)


@pytest.mark.parametrize(
    "data",
    [
        documents.raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1000000000/Kids[2 0 R 2 0 R]>>"),
        documents.raw_pdf(
            b"<</Type/Catalog/Pages 2 0 R/Outlines 4 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/Contents 5 0 R>>",
            b"<</First 6 0 R/Last 6 0 R>>",
            b"<</Length 5 0 R>>stream\nendstream",
            b"<</Title(a)/Next 6 0 R/First 6 0 R/Parent 6 0 R/Dest[3 0 R/Fit]>>",
        ),
        documents.raw_pdf(b"<</Type/Catalog/Pages 2 0 R>>", b"2 0 R"),
        documents.raw_pdf(b"<<" * MANY),
        documents.raw_pdf(b"[" * MANY),
    ],
    ids=["endless pages", "endless outline", "self", "deep dictionary", "deep array"],
)
def test_a_pdf_that_goes_round_in_circles_is_read_or_refused(data: bytes) -> None:
    read(data, PDF)


def test_noise_is_read_or_refused() -> None:
    noise = random.Random(7)  # the same in every run

    for mime_type in SUPPORTED:
        read(noise.randbytes(100_000), mime_type)
        read(WHOLE.get(mime_type, b"") + noise.randbytes(10_000), mime_type)


def test_what_is_nested_as_deep_as_may_be_is_read() -> None:
    text = b"<p>" * (docx._MOST_DEPTH - 2) + b"<t>x</t>" + b"</p>" * (docx._MOST_DEPTH - 2)

    assert isinstance(read(documents.archive([("word/document.xml", b"<d>" + text + b"</d>")]), DOCX), Parsed)
