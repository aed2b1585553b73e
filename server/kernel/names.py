"""Names that people tell each other by: in one form each, and no two in a tenant that look the same.

After UTS #39 (Unicode Security Mechanisms): the scripts of a username are those that are written together, and two of
one likeness cannot be told apart. Unlike its skeletons, a likeness keeps every character of ASCII as it is: `user-1`
and `user-l` are two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import groupby

import orjson
from confusable_homoglyphs.categories import alias

from server.kernel.errors import InvalidRequest

_MOST = 100
_BETWEEN = "._-"
_MARKS = {"Mn", "Mc"}
_MOST_MARKS = 4
"""One after another: UTS #39, section 5.4."""
_UNSEEN = frozenset("\u17b4\u17b5\u180b\u180c\u180d\u180f")
_OF_ALL_SCRIPTS = {"COMMON", "INHERITED"}

_TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
)
"""What is written together: UTS #39, section 5.2, "highly restrictive"."""


def username(field: str, text: str) -> str:
    """The username in its one form (NFKC). Raises InvalidRequest that names the field."""
    name = unicodedata.normalize("NFKC", text)
    # A single character may stand for a phrase, with spaces in it.
    if len(name) > _MOST or not name[:1].isalnum() or not all(map(_belongs, name)) or _piles_marks(name):
        raise InvalidRequest([(field, "is no username once its characters are in their usual form (NFKC)")])
    scripts = {alias(one) for one in name} - _OF_ALL_SCRIPTS
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise InvalidRequest([(field, "mixes letters of scripts that are not written together")])
    return name


def _belongs(one: str) -> bool:
    return one.isalnum() or one in _BETWEEN or (_is_mark(one) and alias(one) not in _OF_ALL_SCRIPTS)


def _is_mark(one: str) -> bool:
    """A vowel sign, as many scripts write them: none that cannot be seen."""
    return unicodedata.category(one) in _MARKS and one not in _UNSEEN


def _piles_marks(name: str) -> bool:
    return any(is_mark and len(list(run)) > _MOST_MARKS for is_mark, run in groupby(name, _is_mark))


def likeness(name: str) -> str:
    """What the username looks like, whatever its case: other letters as the Latin ones that they resemble."""
    return "".join(_latin_twin(one) for one in unicodedata.normalize("NFKC", name).casefold())


def _latin_twin(character: str) -> str:
    return character if character.isascii() else _latin_twins().get(character, character.casefold())


@cache
def _latin_twins() -> Mapping[str, str]:
    """For each character that resembles a letter or digit of ASCII: which. Of the table that it is from, which the
    package would load whole, nothing else is needed: 6 MB.
    """
    table = orjson.loads(files("confusable_homoglyphs").joinpath("confusables.json").read_bytes())
    found = {}
    for character, twins in table.items():
        latin = [twin["c"] for twin in twins if twin["c"].isascii() and twin["c"].isalnum()]
        if latin:
            found[character] = min(latin).casefold()
    return found
