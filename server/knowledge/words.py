"""Words: what text search indexes of a chunk and asks of a question. The same text always comes to the same words."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import regex
from Stemmer import Stemmer

LONGEST = 100
"""Characters of a word that count. What is longer is no word that anybody asks for."""

MOST = 16_383
"""Words of a chunk that can be found: the last position that a tsvector knows."""

_MOST_BYTES = 900_000  # a tsvector holds 1 MiB of words with their positions

_UNSPACED = r"\p{Hiragana}\p{Katakana}\u30fc\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_LETTER = rf"[[\p{{L}}\p{{N}}]--[\p{{Han}}{_UNSPACED}]]"
_PART = rf"{_LETTER}[[\p{{L}}\p{{N}}\p{{M}}]--[\p{{Han}}{_UNSPACED}]]*"

# As Unicode bounds words (UAX 29), but for what people write with and without a mark: a point stands inside numbers
# alone, and a comma inside those alone that it divides by thousands.
_RUNS = regex.compile(
    rf"""(?V1)
    (?P<han>\p{{Han}}+)
    | (?P<unspaced>[{_UNSPACED}][{_UNSPACED}\p{{M}}]*)
    | {_PART} (?: (?: ['’](?=\p{{L}}) | (?<=\p{{Nd}}) (?: \.(?=\p{{Nd}}) | ,(?=\p{{Nd}}{{3}}(?!\p{{Nd}})) ) ) {_PART} )*
    """,
    regex.VERBOSE,
)
_HAN = regex.compile(r"\p{Han}")
_LATIN = regex.compile(r"\p{Latin}+(?:'\p{Latin}+)*")

# Without its cache, which is not made for several threads at once.
_STEMMER = Stemmer("english", 0)


@dataclass(frozen=True)
class Counts:
    """What chunks add to the statistics of their base."""

    words: dict[str, int] = field(default_factory=dict)
    """Of each word, how many of the chunks have it."""
    chunks: int = 0
    length: int = 0
    """How many words they have, repeated ones as often as they stand there."""


def words(text: str) -> list[str]:
    """The words of a text, in its order: NFKC, casefolded, each at most LONGEST characters.

    Scripts with spaces are split at word bounds, numbers kept, and words in Latin letters brought to their English
    stem. Chinese is cut by a dictionary, and a long word stands there with the words in it. Japanese syllables,
    Korean and the scripts of South-East Asia without spaces come to pairs of characters.
    """
    found: list[str] = []
    for run in _RUNS.finditer(_normal(text)):
        match run.lastgroup:
            case "han":
                found += _chinese().cut_for_search(run[0])
            case "unspaced":
                found += _pairs(run[0])
            case _:
                found.append(_word(run[0]))
    return [word[:LONGEST] for word in found]


def is_cut_by_dictionary(text: str) -> bool:
    """Whether `words` needs a dictionary for the text, which takes half a second to load and 34 MB."""
    return _HAN.search(text) is not None


def tsvector_of(words: Sequence[str]) -> str:
    """A tsvector's literal: each word at each of its places, from 1.

    A tsvector has MOST places, and 255 of one word: what is beyond does not count.
    """
    places: dict[str, list[int]] = {}
    room = _MOST_BYTES
    for place, word in enumerate(words[:MOST], start=1):
        room -= 2 if word in places else len(word.encode()) + 8
        if room < 0:
            break
        places.setdefault(word, []).append(place)
    return " ".join(f"{_quoted(word)}:{','.join(map(str, at[:255]))}" for word, at in places.items())


def counts_of(chunks: Iterable[Sequence[str]]) -> Counts:
    """The statistics of chunks, of which each is given by its words."""
    having: Counter[str] = Counter()
    number = length = 0
    for chunk in chunks:
        number += 1
        length += len(chunk)
        having.update(set(chunk))
    return Counts(dict(having), number, length)


def _normal(text: str) -> str:
    # Folding can undo what normalising did.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _word(run: str) -> str:
    plain = run.replace("’", "'").replace(",", "")
    if plain.endswith("'s"):
        plain = plain[:-2]
    if _LATIN.fullmatch(plain) and len(plain) <= LONGEST:
        stem: str = _STEMMER.stemWord(plain)
        return stem
    return plain


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


@cache
def _chinese() -> Any:
    import rjieba  # its dictionary takes 34 MB, which a server needs that has Chinese to search

    return rjieba


def _quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
