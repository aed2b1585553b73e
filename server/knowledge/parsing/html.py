"""HTML as text: what its page is about, with its headings, its code and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from server.knowledge.errors import DocumentUnreadable
from server.knowledge.parsing.charset import decoded
from server.knowledge.parsing.parsed import Builder, Parsed

_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"""<\?xml[^>]{0,100}?encoding\s*=\s*["']([\w.:-]{1,40})""")
_HEAD_BYTES = 4_096

# The page around what the page is about, and what nobody reads.
_NOT_READ = frozenset(
    "script style noscript template svg math iframe object embed canvas audio video head nav footer aside form button "
    "select option textarea input dialog menu".split()
)
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "complementary", "menu", "menubar", "dialog"})
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_BLOCKS = frozenset(
    "address article blockquote body center dd details div dl dt fieldset figcaption figure header hgroup hr li main "
    "ol p section summary ul".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACE = re.compile(r"[ \t\n\r\f]+")
_BREAK = "\v"
"""A line that the page ends, among white space that it does not."""


_MOST_DEPTH = 1_000
_MOST_TAG = 20_000
_MOST_ATTRIBUTES = 2_000
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)([^>]*)")
_NOT_NESTING = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dt dd tr td th thead tbody tfoot option "
    "html head body".split()
)
_LEAST_SHARE = 0.3


def parse(data: bytes, charset: str | None = None) -> Parsed:
    """The text of a page. `charset`: as its server said, which comes before what the page says of itself.

    Raises DocumentUnreadable, DocumentTooLarge, DocumentWithoutText.
    """
    head = data[:_HEAD_BYTES]
    found = _XML_CHARSET.search(head) or _CHARSET.search(head)
    said = found.group(1).decode("ascii", "replace") if found else None
    tree = _tree(decoded(data, charset or said))
    reader = _Reader()
    if tree.body is not None:
        reader.read(_subject(tree.body))
    title = _text_at(tree, "title") or _meta(tree, "og:title") or reader.title
    author = _meta(tree, "author") or _meta(tree, "article:author") or _meta(tree, "dc.creator")
    return reader.builder.built(title, author)


def text_of(fragment: str) -> str:
    """What is read of a piece of HTML."""
    tree = _tree(fragment)
    reader = _Reader()
    if tree.body is not None:
        reader.read(tree.body)
    return reader.builder.text


def _tree(text: str) -> LexborHTMLParser:
    """Raises DocumentUnreadable for what a browser would not show either, and the parser takes for ever for: the time
    it takes grows with the square of the depth, and of a tag's attributes.
    """
    depth = 0
    for tag in _TAG.finditer(text):
        close, name, rest = tag.groups()
        if name.lower() in _NOT_NESTING:
            continue
        depth = max(0, depth - 1) if close else depth + (not rest.endswith("/"))
        if depth > _MOST_DEPTH:
            raise DocumentUnreadable("its elements are nested too deeply")
        if len(rest) > _MOST_TAG and len(rest.split(None, _MOST_ATTRIBUTES)) > _MOST_ATTRIBUTES:
            raise DocumentUnreadable("an element of it has too many attributes")
    # A NUL would end it for the parser.
    return LexborHTMLParser(text.replace("\0", "").encode("utf-8", "ignore").decode())


def _text_at(tree: LexborHTMLParser, selector: str) -> str | None:
    node = tree.css_first(selector)
    return None if node is None else node.text()


def _meta(tree: LexborHTMLParser, name: str) -> str | None:
    for node in tree.css("meta"):
        attributes = node.attributes
        if (attributes.get("name") or attributes.get("property") or "").lower() == name:
            return attributes.get("content")
    return None


def _subject(body: LexborNode) -> LexborNode:
    """The element that says what the page is about, where one does and has a good part of the text."""
    for selector in ("main", "[role=main]", "article"):
        found = body.css(selector)
        if len(found) == 1 and len(found[0].text()) > _LEAST_SHARE * len(body.text()):
            return found[0]
    return body


def _unread(node: LexborNode) -> bool:
    if node.tag in _NOT_READ:
        return True
    attributes = node.attributes
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") in _ROLES
        or bool(_HIDDEN.search(attributes.get("style") or ""))
        or (node.tag == "header" and node.parent is not None and node.parent.tag == "body")
    )


def _walk(top: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each node that is read, and whether it begins or ends, in order; without recursion, however deep it goes."""
    node: LexborNode | None = top
    stack: list[LexborNode] = []
    while True:
        if node is not None:
            if node.is_element_node and _unread(node) and node is not top:
                node = node.next
                continue
            yield node, True
            stack.append(node)
            node = node.child if node.is_element_node else None
        else:
            if not stack:
                return
            ended = stack.pop()
            yield ended, False
            if not stack:
                return
            node = ended.next


class _Reader:
    def __init__(self) -> None:
        self.builder = Builder()
        self.title: str | None = None
        self._line: list[str] = []
        self._heading: int | None = None
        self._item = False
        self._whole = 0  # how deep in code and tables
        self._code = 0

    def read(self, top: LexborNode) -> None:
        for node, begins in _walk(top):
            tag = node.tag or ""
            if node.is_text_node:
                if begins:
                    self._line.append((node.text_content or "").replace(_BREAK, " "))
            elif tag in ("pre", "table"):
                self._whole_one(tag, begins=begins)
            elif tag == "br":
                if begins:
                    self._line.append(_BREAK)
            elif self._code:
                if tag in _BLOCKS:
                    self._line.append("\n")
            elif self._whole:
                self._in_table(tag, begins=begins)
            elif tag in _HEADINGS:
                self._end_line()
                self._heading = _HEADINGS[tag] if begins else None
            elif tag in _BLOCKS:
                self._end_line()
                self._item = tag == "li" and begins
        self._end_line()

    def _whole_one(self, tag: str, *, begins: bool) -> None:
        self._end_line()
        self._code += (1 if begins else -1) * (tag == "pre")
        if begins and not self._whole:
            self.builder.begin_block()
        self._whole += 1 if begins else -1
        if not self._whole:
            self.builder.end_block()

    def _in_table(self, tag: str, *, begins: bool) -> None:
        if tag in ("tr", "caption"):
            self._end_line()
        elif tag in ("td", "th"):
            if not begins:
                self._line.append(" | ")
        elif tag in _BLOCKS:
            self._line.append(" ")

    def _end_line(self) -> None:
        line = "".join(self._line)
        self._line.clear()
        if self._code:
            if line.strip():
                self.builder.line(line.replace(_BREAK, "\n").strip("\n"))
            return
        text = "\n".join(_SPACE.sub(" ", part).strip() for part in line.split(_BREAK)).strip()
        if self._whole:
            text = text.removesuffix("|").rstrip().replace("\n", " ")
        if not text:
            return
        if self._heading is not None:
            if self.title is None and self._heading == 1:
                self.title = text
            self.builder.heading(self._heading, text)
        elif self._whole:
            self.builder.line(text)
        elif self._item:
            self.builder.line(f"- {text}")
        else:
            self.builder.paragraph(text)
        self._item = False
