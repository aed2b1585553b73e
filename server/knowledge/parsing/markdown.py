"""Markdown as text: what a reader sees of it, with its headings, its code and its tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from server.knowledge.parsing.html import text_of
from server.knowledge.parsing.parsed import Builder, Parsed, normalised

_MOST_WITH_INLINE = 2_000_000
_LONG_PARAGRAPH = 5_000
"""Characters of one paragraph beyond which it is left as it is written: emphasis in it takes ever longer to be read."""

_MARKED = re.compile(r"[\\`*_\[\]!<&]")
"""Characters without any of which text is only text."""

_LINE_END = re.compile(r"[ \t]*\n[ \t]*")
_FRONT = re.compile(r"\A---[ \t]*\n(.*?\n)??---[ \t]*\n", re.DOTALL)
_FIELD = re.compile(r"""^(title|author):[ \t]*(["']?)(.*?)\2[ \t]*$""", re.MULTILINE | re.IGNORECASE)
_MOST_FRONT = 10_000


def parse(text: str) -> Parsed:
    """The text of Markdown (CommonMark and tables). Raises DocumentTooLarge, DocumentWithoutText."""
    text = normalised(text)
    fields: dict[str, str] = {}
    if front := _FRONT.match(text[:_MOST_FRONT]):
        fields = {name.lower(): value for name, _, value in _FIELD.findall(front.group())}
        text = text[front.end() :]
    parser = MarkdownIt("commonmark", {"maxNesting": 20}).enable("table")
    parser.core.ruler.disable(["inline"])  # done for those that are not too long
    reader = _Reader(parser, inline=len(text) <= _MOST_WITH_INLINE)
    reader.read(text)
    return reader.builder.built(fields.get("title") or reader.title, fields.get("author"))


class _Reader:
    def __init__(self, parser: MarkdownIt, *, inline: bool) -> None:
        self.builder = Builder()
        self.title: str | None = None
        self._parser = parser
        self._inline = inline
        self._references: dict[str, Any] = {}

    def read(self, text: str) -> None:
        tokens = self._parser.parse(text, self._references)
        numbers: list[int | None] = []  # of the lists that are open; None: of one without
        begin, position = "", 0
        while position < len(tokens):
            token = tokens[position]
            position += 1
            if token.type == "heading_open":
                self._heading(int(token.tag[1:]), tokens[position].content)
                position += 2
            elif token.type in ("fence", "code_block"):
                self.builder.begin_block()
                self.builder.add(token.content.rstrip("\n"))
                self.builder.end_block()
            elif token.type == "html_block":
                self.builder.paragraph(text_of(token.content))
            elif token.type == "table_open":
                end = next(i for i in range(position, len(tokens)) if tokens[i].type == "table_close")
                self.builder.begin_block()
                self._table(tokens[position:end])
                self.builder.end_block()
                position = end + 1
            elif token.type in ("bullet_list_open", "ordered_list_open"):
                if not numbers:
                    self.builder.gap()
                numbers.append(int(token.attrGet("start") or 1) if token.type[0] == "o" else None)
            elif token.type in ("bullet_list_close", "ordered_list_close"):
                numbers.pop()
            elif token.type == "list_item_open":
                number = numbers[-1]
                begin = "  " * (len(numbers) - 1) + ("- " if number is None else f"{number}. ")
                numbers[-1] = None if number is None else number + 1
            elif token.type == "inline":
                self._paragraph(begin, token.content, tight=bool(numbers))
                begin = ""

    def _heading(self, level: int, source: str) -> None:
        text = self._seen(source)
        if self.title is None and level == 1:
            self.title = text
        self.builder.heading(level, text)

    def _paragraph(self, begin: str, source: str, *, tight: bool) -> None:
        text = self._seen(source).strip()
        if tight and begin and text:
            self.builder.line(begin + text)
        else:
            self.builder.paragraph(text)

    def _table(self, tokens: Sequence[Token]) -> None:
        row: list[str] = []
        for token in tokens:
            if token.type == "inline":
                row.append(self._seen(token.content).replace("\n", " "))
            elif token.type == "tr_close":
                self.builder.line(" | ".join(row))
                row.clear()

    def _seen(self, source: str) -> str:
        if not self._inline or len(source) > _LONG_PARAGRAPH:
            return source
        if not _MARKED.search(source):
            return _LINE_END.sub("\n", source)
        children: list[Token] = []
        self._parser.inline.parse(source, self._parser, self._references, children)
        return "".join(map(_shown, children))


def _shown(token: Token) -> str:
    if token.type in ("softbreak", "hardbreak"):
        return "\n"
    return "" if token.type == "html_inline" else token.content
