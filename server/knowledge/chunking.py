"""A document's text in pieces: cut where its writer would pause, and none larger than was asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import regex

from server.knowledge.parsing.parsed import Mark, Parsed
from server.knowledge.tokens import Tokenize, Tokens, local_tokens

_PARAGRAPH = regex.compile(r"\n[ \t]*\n\s*")
_SENTENCE = regex.compile(
    r"""[.!?…]+["'”’)\]]*\s+ | [。！？；｡]+["'”’」』）》】]*\s* | [:;：]\n\s* | \n(?=\s*(?:[-•*|\#]|\d+[.)、]))\s*""",
    regex.VERBOSE,
)
_LINE = regex.compile(r"\n\s*")
_SPACE = regex.compile(r"\s+")
# Between two such characters a line may end, unless a mark that closes or opens is there.
_CJK = r"[\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff]"
_BETWEEN = regex.compile(rf"(?<={_CJK}|[，、：。！？；」』）》】])(?={_CJK}|[「『（《【])")
_GRAPHEME = regex.compile(r"\X")
_SINGLE = regex.compile(r"[\t\n -~\u3001-\u3020\u3041-\u3096\u30a1-\u30fa\u3400-\u9fff\uff01-\uff5e]{2}")
"""Two that are each a character by itself, whatever is beside them."""

_FLAG_LETTER = regex.compile(r"[\U0001f1e6-\U0001f1ff]")
_FLAG = regex.compile(r"[\U0001f1e6-\U0001f1ff]{2}")
_MOST_FLAGS = 1_000
_MOST_OF_A_GRAPHEME = 64
"""Characters. What is longer is nobody's writing, and is cut like everything else."""

_LEAST_BEFORE_HEADING = 0.25
_LEAST = 0.5
"""Of a piece's size, before it is ended where the text would let it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a document: `content` is its text between the offsets, in characters.

    `page`: on which it begins, from 1. `heading`: the headings that all of it is under, from the outermost, or those
    that it begins under where it is under several. `token_count`: of the whole text's tokens those that are in it.
    """

    content: str
    start_offset: int
    end_offset: int
    page: int | None
    heading: tuple[str, ...]
    token_count: int


def chunks(parsed: Parsed, size: int, overlap: int, tokenize: Tokenize = local_tokens) -> list[Piece]:
    """The pieces of a document, in order; between them they have all of its text that is not white.

    `size`: tokens, at most, unless a single character to a reader has more. `overlap`: tokens, at most, of a piece that
    are the last of the piece before; no more than half of `size`, and none across a heading. Raises ValueError for
    others than `size` from 1, `overlap` from 0.
    """
    if size < 1 or overlap < 0:
        raise ValueError("size must be at least 1 and overlap at least 0")
    return list(_Cutter(parsed, size, min(overlap, size // 2), Tokens(parsed.text, tokenize)).pieces())


class _Cutter:
    def __init__(self, parsed: Parsed, size: int, overlap: int, tokens: Tokens) -> None:
        self._text = parsed.text
        self._size = size
        self._overlap = overlap
        self._tokens = tokens
        self._marks = parsed.marks
        self._mark_offsets = [mark.offset for mark in parsed.marks]
        before: tuple[str, ...] = ()
        self._headings = []
        for mark in parsed.marks:
            if mark.headings != before and self._boundary(mark.offset):
                self._headings.append(mark.offset)
                before = mark.headings
        self._block_starts = [start for start, _ in parsed.blocks]
        self._block_ends = [end for _, end in parsed.blocks]

    def pieces(self) -> Iterator[Piece]:
        start = done = 0
        while done < len(self._text):
            end = self._end(start, done)
            if start < done and self._tokens.count(start, end) > self._size:
                start = done  # what comes is one character, and has no room for what was before
                continue
            first, last = self._trimmed(start, end)
            if first < last and self._text[done:end].strip():
                yield self._piece(first, last)
                start = self._next(first, end)
            else:
                start = end
            done = end

    def _end(self, start: int, done: int) -> int:
        """Where the piece from `start` ends, beyond `done`, up to where the text is in pieces already."""
        far = self._tokens.after(start, self._size)
        least = max(done, self._tokens.after(start, max(1, int(self._size * _LEAST_BEFORE_HEADING))))
        heading = self._first_heading(max(least, start + 1))
        if heading is not None and heading <= far and heading > done:
            return heading
        if far == len(self._text):
            return far
        half = max(done, self._tokens.after(start, max(1, int(self._size * _LEAST))) - 1)
        inside = self._block(far)
        if inside is not None and inside[0] > max(start, done) and self._fits(*inside):
            return inside[0]  # it fits into the next as a whole
        for pattern, low, allowed in (
            (_PARAGRAPH, half, self._outside),
            (_SENTENCE, half, self._outside),
            (_LINE, max(start, done), self._in_block),
            (_LINE, half, self._anywhere),
            (_SENTENCE, half, self._anywhere),
            (_SPACE, half, self._anywhere),
            (_BETWEEN, half, self._anywhere),
            (_SPACE, max(start, done), self._anywhere),
        ):
            found = self._last(pattern, low, far, allowed)
            if found is not None:
                return found
        return self._grapheme(max(start, done), far)

    def _fits(self, start: int, end: int) -> bool:
        return self._tokens.count(start, end) <= self._size and self._boundary(start)

    def _last(self, pattern: regex.Pattern[str], low: int, far: int, allowed: Callable[[int], bool]) -> int | None:
        """The last place after `low`, up to `far`, where the pattern ends."""
        ends: list[int] = [match.end() for match in pattern.finditer(self._text, max(0, low - 1), far)]
        for end in reversed(ends):  # whether it is allowed takes longer than to find it
            if low < end and allowed(end) and self._boundary(end):
                return end
        return None

    def _next(self, start: int, end: int) -> int:
        """Where the piece after that one begins: some way before its end, at a sentence or at least a word."""
        if not self._overlap or end == len(self._text):
            return end
        index = bisect_right(self._headings, end)
        low = max(start + 1, self._tokens.before(end, self._overlap), self._headings[index - 1] if index else 0)
        for pattern in (_PARAGRAPH, _SENTENCE, _LINE, _SPACE, _BETWEEN):
            for match in pattern.finditer(self._text, max(0, low - 1), end):
                begin: int = match.end()
                if low <= begin < end and self._boundary(begin):
                    return begin
        return end

    def _piece(self, start: int, end: int) -> Piece:
        mark = self._mark_at(start)
        count = self._tokens.count(start, end)
        page = None if mark is None else mark.page
        return Piece(self._text[start:end], start, end, page, self._heading(start, end), count)

    def _heading(self, start: int, end: int) -> tuple[str, ...]:
        first = self._mark_at(start)
        if first is None:
            return ()
        common = first.headings
        for mark in self._marks[bisect_right(self._mark_offsets, start) : bisect_left(self._mark_offsets, end)]:
            same = 0
            while same < min(len(common), len(mark.headings)) and common[same] == mark.headings[same]:
                same += 1
            common = common[:same]
        return common or first.headings

    def _mark_at(self, offset: int) -> Mark | None:
        index = bisect_right(self._mark_offsets, offset)
        return self._marks[index - 1] if index else None

    def _first_heading(self, offset: int) -> int | None:
        index = bisect_left(self._headings, offset)
        return self._headings[index] if index < len(self._headings) else None

    def _block(self, offset: int) -> tuple[int, int] | None:
        """The block that the offset is inside of."""
        index = bisect_left(self._block_starts, offset) - 1
        if index >= 0 and offset < self._block_ends[index]:
            return self._block_starts[index], self._block_ends[index]
        return None

    def _outside(self, offset: int) -> bool:
        return self._block(offset) is None

    def _in_block(self, offset: int) -> bool:
        return self._block(offset) is not None

    def _anywhere(self, _: int) -> bool:
        return True

    def _trimmed(self, start: int, end: int) -> tuple[int, int]:
        """The same without the white space around it, but for what is one character with what is not white."""
        text = self._text
        first, last = start, end
        while first < last and text[first].isspace():
            first += 1
        while first > start and not self._boundary(first):
            first -= 1
        while last > first and text[last - 1].isspace():
            last -= 1
        while last < end and not self._boundary(last):
            last += 1
        return first, last

    def _grapheme(self, low: int, far: int) -> int:
        """The last place after `low`, up to `far`, between what are characters to a reader; the first beyond, if none
        is before.
        """
        for end in range(far, max(low, far - _MOST_OF_A_GRAPHEME), -1):
            if self._boundary(end):
                return end
        for end in range(max(far, low + 1), min(len(self._text), low + _MOST_OF_A_GRAPHEME)):
            if self._boundary(end):
                return end
        return min(len(self._text), max(far, low + _MOST_OF_A_GRAPHEME))

    def _boundary(self, offset: int) -> bool:
        """Whether one character, as a reader sees them, ends there."""
        text = self._text
        if offset in (0, len(text)):
            return True
        if _SINGLE.fullmatch(text, offset - 1, offset + 1):
            return True
        if _FLAG.fullmatch(text, offset - 1, offset + 1):  # of two each, counted from the first of them
            begin = offset - 1
            while begin and offset - begin < _MOST_FLAGS and _FLAG_LETTER.match(text, begin - 1):
                begin -= 1
            return (offset - begin) % 2 == 0
        begin = offset - 1
        least = max(0, offset - _MOST_OF_A_GRAPHEME)
        while begin > least and not _SINGLE.fullmatch(text, begin - 1, begin + 1):
            begin -= 1
        return any(match.end() == offset for match in _GRAPHEME.finditer(text, begin, offset + 1))
