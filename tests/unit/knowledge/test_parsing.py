"""Documents as text: what is kept of each type, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from server.knowledge.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable, DocumentWithoutText
from server.knowledge.parsing import pdf
from server.knowledge.parsing.parse import parse
from server.knowledge.parsing.parsed import Builder, Mark, Parsed
from server.knowledge.parsing.types import CSV, DOCX, HTML, JSON, MARKDOWN, PDF, PLAIN
from tests.unit.knowledge import documents

CHINESE = "人工智能平台的后端，面向许多客户。文档在这里被读取，分成小段，再被检索。"
TAIWANESE = "臺灣是位於東亞、太平洋西北側的島嶼，面積約三萬六千平方公里，人口約兩千三百萬人。"
JAPANESE = "日本は東アジアに位置し、日本列島を中心とする島国である。ひらがなとカタカナを使う。"
KOREAN = "대한민국은 동아시아의 한반도 남부에 자리한 공화국이다. 한국어를 공용어로 사용한다."
FRENCH = "L'été dernier, les élèves français étaient à la plage où ils mangeaient des crêpes."
RUSSIAN = "Россия — государство в Восточной Европе и Северной Азии. Столица — Москва."


def headings_of(parsed: Parsed) -> list[tuple[str, tuple[str, ...]]]:
    """The first word of each part, and the headings that it is under."""
    return [(parsed.text[mark.offset :].split()[0], mark.headings) for mark in parsed.marks]


def blocks_of(parsed: Parsed) -> list[str]:
    return [parsed.text[start:end] for start, end in parsed.blocks]


@pytest.mark.parametrize(
    ("before", "behind", "kind"), [("# ", "\n\n", MARKDOWN), ("", "\n===\n\n", MARKDOWN), ("<h2>", "</h2>", HTML)]
)
def test_of_a_long_heading_all_is_text_and_its_beginning_what_is_under_it(before: str, behind: str, kind: str) -> None:
    words = [f"w{number}" for number in range(400)]

    parsed = parse(f"{before}{' '.join(words)}{behind}Text".encode(), kind)

    assert parsed.text.split() == [*words, "Text"]
    assert [mark.headings for mark in parsed.marks] == [(" ".join(words)[:300].rstrip(),)]


@pytest.mark.parametrize(
    ("text", "charset"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (CHINESE, "utf-32"),
        (CHINESE, "gb18030"),
        ("人工智能平台", "gb18030"),
        (TAIWANESE, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (KOREAN, "euc_kr"),
        (FRENCH, "latin-1"),
        ("café", "latin-1"),
        (RUSSIAN, "cp1251"),
    ],
)
def test_text_is_read_in_the_charset_that_it_is_in(text: str, charset: str) -> None:
    assert parse(text.encode(charset), PLAIN).text == text


def test_text_that_is_cut_off_or_partly_broken_stays_what_it_is() -> None:
    data = CHINESE.encode()

    assert parse(data[:-1], PLAIN).text == CHINESE[:-1] + "\ufffd"
    assert parse(data * 10 + b"\xff" + data, PLAIN).text.count("\ufffd") == 1


def test_what_nobody_sees_is_left_out_and_lines_end_in_one_way() -> None:
    padding = "a" * 200
    text = padding + "a\r\nb\rc\x00\x08d e\u0301\u2028\x85\ufeff"

    assert parse(text.encode(), PLAIN).text == padding + "a\nb\ncd \u00e9\n\n"


@pytest.mark.parametrize("mime_type", [CSV, JSON])
def test_data_is_text_as_it_is(mime_type: str) -> None:
    text = json.dumps({"a": [1, 2]}) + "\n1,2\n"

    assert parse(text.encode(), mime_type).text == text


def test_markdown_is_what_a_reader_sees_of_it() -> None:
    parsed = parse(documents.MARKDOWN.encode(), MARKDOWN)

    assert parsed.text == (
        "Horns and more\n\nWith a link and code\non two lines\n\n- a\n- b\n  1. x\n  2. y\n\nCode\n\n"
        "x = 1\n\ny = 2\n\na | b\n1 | 2\n\nof HTML"
    )
    assert headings_of(parsed) == [("Horns", ("Horns and more",)), ("Code", ("Horns and more", "Code"))]
    assert blocks_of(parsed) == ["x = 1\n\ny = 2", "a | b\n1 | 2"]
    assert (parsed.title, parsed.author) == ("On horns", "Ada L")


def test_html_is_what_its_page_is_about() -> None:
    parsed = parse(documents.PAGE.encode(), HTML)

    assert parsed.text == (
        "Horns\n\nHello world\nagain there\n\nbare\n\npara\n\ntail\n- one\n- two\n\nCode\n\n"
        "def f():\n    return 1\n\na | b\n1 | 2\n\nend"
    )
    assert headings_of(parsed) == [("Horns", ("Horns",)), ("Code", ("Horns", "Code"))]
    assert blocks_of(parsed) == ["def f():\n    return 1", "a | b\n1 | 2"]
    assert (parsed.title, parsed.author) == ("Horns & more", "Ada")


@pytest.mark.parametrize(("charset", "named"), [("gb18030", "gb2312"), ("big5", "Big5"), ("cp1252", "iso-8859-1")])
def test_html_is_in_the_charset_that_it_says(charset: str, named: str) -> None:
    text = {"gb18030": "短", "big5": "臺", "cp1252": "é"}[charset]
    page = f'<html><head><meta http-equiv=Content-Type content="text/html; charset={named}"></head><p>{text}</p></html>'

    assert parse(page.encode(charset), HTML).text == text


def test_a_pdf_is_its_pages_under_its_outline() -> None:
    long = "The quick brown fox jumps over the lazy dog and so on. " * 6
    data = documents.pdf(
        documents.writes(long, heading="Horns"),
        documents.writes("On bulls.", heading="Bulls", level=1),
        documents.writes("- one\n- two"),
    )

    parsed = parse(data, PDF)

    assert parsed.text == f"Horns\n{long.strip()}\n\nBulls\nOn bulls.\n\n- one\n- two"
    assert parsed.marks == [
        Mark(0, 1, ("Horns",)),
        Mark(parsed.text.index("Bulls"), 2, ("Horns", "Bulls")),
        Mark(parsed.text.index("- one"), 3, ("Horns", "Bulls")),
    ]
    assert (parsed.title, parsed.author, parsed.pages) == ("On horns", "Ada", 3)


def test_a_document_of_words_is_its_paragraphs_headings_and_tables() -> None:
    parsed = parse(documents.word(), DOCX)

    assert parsed.text == "Horns\n\nA paragraph.\n\nMore\n\na | b\nc | d\n\n中文段落。"
    assert headings_of(parsed) == [("Horns", ("Horns",)), ("More", ("Horns", "More"))]
    assert blocks_of(parsed) == ["a | b\nc | d"]
    assert (parsed.title, parsed.author) == ("On horns", "Ada")


def test_what_is_encrypted_is_refused_as_such() -> None:
    with pytest.raises(DocumentEncrypted):
        parse(documents.pdf(documents.writes("secret"), password="horns"), PDF)


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (documents.pdf(documents.draws), PDF),
        (b"", PLAIN),
        (b" \r\n\t", PLAIN),
        (b"---\ntitle: a\n---\n", MARKDOWN),
        (b"<html><script>1</script>", HTML),
        (documents.archive([("word/document.xml", b"<document/>")]), DOCX),
    ],
)
def test_what_has_no_text_is_refused_as_such(data: bytes, mime_type: str) -> None:
    with pytest.raises(DocumentWithoutText):
        parse(data, mime_type)


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (bytes(range(256)) * 10, PLAIN),
        (b"%PDF-1.7\nnot one", PDF),
        (documents.pdf(documents.writes("a"))[:200], PDF),
        (b"PK\x03\x04 no archive", DOCX),
        (documents.word()[:-100], DOCX),
        (documents.archive([("xl/workbook.xml", b"<a/>")]), DOCX),
        (documents.archive([("word/document.xml", b"<a><b></a>")]), DOCX),
    ],
)
def test_what_is_broken_is_refused_as_such(data: bytes, mime_type: str) -> None:
    with pytest.raises(DocumentUnreadable):
        parse(data, mime_type)


def test_a_pdf_has_no_more_pages_than_are_read() -> None:
    data = documents.pdf(*[documents.writes("a")] * 3)

    with pytest.raises(DocumentTooLarge, match="more than 2 pages"):
        pdf.parse(data, most_pages=2)


def test_there_is_no_more_text_than_is_kept() -> None:
    builder = Builder(most_characters=10)
    builder.add("a" * 10)

    with pytest.raises(DocumentTooLarge, match="more than 10 characters"):
        builder.add("a")


def test_marks_are_in_order_and_each_in_a_place_of_its_own() -> None:
    parsed = parse(b"# a\n## b\n# c\n\ntext\n\n### d\n\n## e", MARKDOWN)

    assert all(one.offset < other.offset for one, other in pairwise(parsed.marks))
    assert [mark.headings for mark in parsed.marks] == [("a",), ("a", "b"), ("c",), ("c", "d"), ("c", "e")]
