"""Names that people tell each other by: in one form each, and no two in a tenant that look the same.

After UTS #39 (Unicode Security Mechanisms): the scripts of a username are those that are written together, and two of
one likeness cannot be told apart. Unlike its skeletons, a likeness keeps every character of ASCII as it is: `user-1`
and `user-l` are two.
"""

from __future__ import annotations

import unicodedata

from confusable_homoglyphs.categories import alias
from confusable_homoglyphs.confusables import confusables_data

from server.kernel.errors import InvalidRequest

_MOST = 100
_BETWEEN = "._-"
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
    if len(name) > _MOST or not name[:1].isalnum() or not all(one.isalnum() or one in _BETWEEN for one in name):
        raise InvalidRequest([(field, "is no username once its characters are in their usual form (NFKC)")])
    scripts = {alias(one) for one in name} - _OF_ALL_SCRIPTS
    if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
        raise InvalidRequest([(field, "mixes letters of scripts that are not written together")])
    return name


def likeness(name: str) -> str:
    """What the username looks like, whatever its case: other letters as the Latin ones that they resemble."""
    return "".join(_latin_twin(one) for one in unicodedata.normalize("NFKC", name).casefold())


def _latin_twin(character: str) -> str:
    if character.isascii():
        return character
    twins = (twin["c"] for twin in confusables_data.get(character, ()))
    return min((twin for twin in twins if twin.isascii() and twin.isalnum()), default=character).casefold()
