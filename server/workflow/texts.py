"""Texts with expressions in them: `Dear ${input.name}`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

_OPEN = "${"
_QUOTES = ('"""', "'''", '"', "'")
_RAW = "|".join(f"[rR]{quote}.*?{quote}" for quote in _QUOTES)
_ESCAPED = "|".join(rf"{quote}(?:\\.|[^\\])*?{quote}" for quote in _QUOTES)
_STRING = rf"{_RAW}|{_ESCAPED}"
_PART = regex.compile(rf"{_STRING}|.", regex.DOTALL)
"""Of an expression: a string with what is in it, or any other character."""

_NAMED = regex.compile(rf"""(?<![\w.])steps\s*(?:\.\s*(\w+)|\[\s*["'](\w+)["']\s*\])|{_STRING}""", regex.DOTALL)
_BOUND = regex.compile(rf"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,|{_STRING}", regex.DOTALL)


class TextInvalid(ValueError):
    """Why a text cannot be read."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A part of a text that is computed."""

    source: str


def parts(text: str) -> Sequence[str | Expression]:
    """What the text is made of, in order. Raises TextInvalid."""
    return list(_parts(text))


def _parts(text: str) -> Iterator[str | Expression]:
    at = 0
    while (begin := text.find(_OPEN, at)) >= 0:
        if begin > at:
            yield text[at:begin]
        end = _end(text, begin + len(_OPEN))
        source = text[begin + len(_OPEN) : end]
        if not source.strip():
            raise TextInvalid("there is nothing in ${}")
        yield Expression(source)
        at = end + 1
    if at < len(text):
        yield text[at:]


def _end(text: str, begin: int) -> int:
    """Where the brace is that closes what begins there."""
    depth = 1
    for part in _PART.finditer(text, begin):
        depth += {"{": 1, "}": -1}.get(part.group(), 0)
        if not depth:
            end: int = part.start()
            return end
    raise TextInvalid("${ has no } that closes it")


def steps_of(source: str) -> set[str]:
    """The steps that an expression speaks of."""
    return {name for match in _NAMED.finditer(source) for name in match.groups() if name}


def bound_in(source: str) -> set[str]:
    """The names that an expression gives to what it goes through."""
    return {name for match in _BOUND.finditer(source) for name in match.groups() if name}
