"""Which passwords people may choose: NIST SP 800-63B, revision 3, section 5.1.1.2.

A least length, and no word that is tried first; nothing about what kinds of characters it must hold. The least length
stands in the protos, where it is checked on what was typed; here it is checked again on what is hashed. Revision 4
(section 3.1.1.2) asks for 15 characters where the password is the only factor: docs/adr/0007-guesses-at-passwords.md.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import pairwise

from zxcvbn.frequency_lists import FREQUENCY_LISTS

from server.identity.domain import PasswordGuessable
from server.kernel.errors import InvalidRequest

SHORTEST = 8

_SERVICE = "atrium"
_SHORTEST_NAME = 3  # shorter ones are in too many words
_COMMON = frozenset(word for words in FREQUENCY_LISTS.values() for word in words if len(word) >= SHORTEST)


def normalized(password: str) -> str:
    """The one form of a password that several keyboards may type differently: Unicode NFKC."""
    return unicodedata.normalize("NFKC", password)


def check_password(field: str, password: str, names: Iterable[str]) -> None:
    """Raises InvalidRequest or PasswordGuessable, which name the field.

    `names`: what is known of the account to whoever attacks it, such as its username.
    """
    form = normalized(password)
    if len(form) < SHORTEST:
        raise InvalidRequest([(field, f"must be at least {SHORTEST} characters")])
    form = form.casefold()
    if form in _COMMON:
        raise PasswordGuessable(field, "is one of the passwords that are tried first")
    if _is_pattern(form):
        raise PasswordGuessable(field, "repeats or counts its characters")
    if _is_made_of(form, {part for name in names for part in _parts(name)} | {_SERVICE}):
        raise PasswordGuessable(field, "is made of the names of the account, its tenant or this service")


def _is_pattern(form: str) -> bool:
    """One or two characters over and over, or a run up or down the alphabet or the digits."""
    steps = {ord(after) - ord(before) for before, after in pairwise(form)}
    return len(set(form)) <= 2 or steps in ({1}, {-1})


def _parts(name: str) -> Iterator[str]:
    """A name, and of an e-mail address what stands before the at sign."""
    form = normalized(name).casefold()
    for part in {form, form.partition("@")[0]}:
        if len(part) >= _SHORTEST_NAME:
            yield part


def _is_made_of(form: str, names: Iterable[str]) -> bool:
    """Whether the names, with digits and signs about them, are all there is."""
    longest_first = sorted(names, key=len, reverse=True)
    rest, found = re.subn("|".join(map(re.escape, longest_first)), "", form)
    return found > 0 and not any(character.isalpha() for character in rest)
