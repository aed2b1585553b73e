"""What one rendering may use: steps, and the size of every value that it makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from sys import getsizeof
from typing import Any

from jinja2 import StrictUndefined
from jinja2.runtime import Context, Undefined

from server.prompt.errors import PromptIncludeCycle

MAX_STEPS = 100_000
MAX_TEXT = 1024 * 1024
"""Bytes of UTF-8 in one value, and in all that is rendered."""

MAX_NODES = 65_536
"""Items, entries and scalars in one value, counted as often as they would be written."""

MAX_DEPTH = 32
MAX_NUMBER = 2**63
MAX_INCLUDES = 64
MAX_INCLUDE_DEPTH = 8

# What one step pays for. Text is paid for by what it takes in memory, so that all that a rendering makes is bounded.
_BYTES_PER_STEP = 256
_NODES_PER_STEP = 4
_SCANNED_PER_STEP = 32


class Unfinished(Exception):
    """A rendering was allowed fewer steps than a template is, and takes more. Never leaves the slice."""


class Refused(Exception):
    """A rendering cannot go on; the message is for the prompt's author. Never leaves the slice."""


class Missing(StrictUndefined):
    """A value that is not there."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return self._undefined_hint or f"{self._undefined_name} is not given"


class Run:
    """One rendering's budget and what it may include. Raises Refused where the budget is used up.

    `rendered`: gives the text of an include's source, within this run. `most`: the steps that it may take; where that
    is less than MAX_STEPS, Unfinished is raised beyond it.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        includes: Mapping[str, str],
        rendered: Callable[[str], str],
        most: int = MAX_STEPS,
    ) -> None:
        self.values = values
        # What is being included, outermost first. Left as it is by an error, so that it says where that was.
        self.chain: list[str] = []
        self._sources: list[str] = []
        self._includes = includes
        self._rendered = rendered
        self._included = 0
        self._most = most
        self.steps = 0
        self._room = MAX_TEXT
        self.kept(list(values.values()))

    def begin(self, source: str) -> None:
        """The text of this source is rendered next."""
        self.chain, self._sources = [], [source]

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > self._most:
            if self._most < MAX_STEPS:
                raise Unfinished
            raise Refused(f"takes more than {MAX_STEPS} steps")

    def kept(self, value: Any) -> Any:
        """The value, paid for. Raises Refused where it is too large or no value of templates."""
        match value:
            case None | bool() | Undefined():
                pass
            case str():
                fits(text_size(value))
                self.spend(getsizeof(value) // _BYTES_PER_STEP)
            case int() | float():
                in_range(value)
            case _:
                self._walk(value)
        return value

    def weigh(self, value: Any) -> None:
        """Pays for looking at all of the value."""
        if isinstance(value, str):
            self.spend(len(value) // _BYTES_PER_STEP)
        elif isinstance(value, (list, tuple, dict)):
            self._walk(value)

    def scan(self, value: Any) -> None:
        """Pays for work on each character of a text, or each item of a list, and not into them."""
        if isinstance(value, (str, list, tuple, dict)):
            self.spend(len(value) // _SCANNED_PER_STEP)

    def write(self, text: str) -> str:
        """The text, counted as a piece of what is rendered."""
        size = len(text) if text.isascii() else text_size(text)
        self.spend(1 + size // _BYTES_PER_STEP)
        if not self.chain:  # what is included is counted once, where it is put
            self._room -= size
            if self._room < 0:
                raise Refused(f"is longer than {MAX_TEXT // 1024} KiB when rendered")
        return text

    def capture(self, text: str) -> str:
        """The text, counted as a piece of a value."""
        self.spend(1 + text_size(text) // _BYTES_PER_STEP)
        return text

    def include(self, name: str) -> str:
        """The text of an include. Raises PromptIncludeCycle."""
        source = self._includes.get(name)
        if source is None and len(self._includes) >= MAX_INCLUDES:  # of more it is not asked which there are
            raise Refused(f"includes more than {MAX_INCLUDES} others")
        if source is None:
            raise Refused(f"includes {name}, which is not there")
        # A text that comes again is a cycle under whatever name, since it sees the same values each time.
        if source in self._sources:
            raise PromptIncludeCycle([*self.chain, name])
        if len(self.chain) == MAX_INCLUDE_DEPTH:
            raise Refused(f"includes more than {MAX_INCLUDE_DEPTH} deep: {' -> '.join([*self.chain, name])}")
        self._included += 1
        if self._included > MAX_INCLUDES:
            raise Refused(f"includes more than {MAX_INCLUDES} times")
        self.chain.append(name)
        self._sources.append(source)
        text = self._rendered(source)
        self._sources.pop()
        self.chain.pop()
        return text

    def _walk(self, value: Any) -> None:
        """Pays for a list or an object; shared parts are counted each time, for that is how they are written."""
        nodes = size = 0
        affordable = (self._most - self.steps + 1) * _NODES_PER_STEP
        waiting = [(value, 0)]
        while waiting:
            item, depth = waiting.pop()
            nodes += 1
            if nodes == affordable:  # no further than it can be paid for
                break
            match item:
                case str():
                    size += text_size(item)
                case list() | tuple() | dict():
                    if depth == MAX_DEPTH:
                        raise Refused(f"makes a value that is nested deeper than {MAX_DEPTH}")
                    nodes_to_come(nodes + len(waiting) + len(item))
                    if isinstance(item, dict):
                        size += sum(map(text_size, item))
                        waiting.extend((entry, depth + 1) for entry in item.values())
                    else:
                        waiting.extend((entry, depth + 1) for entry in item)
                case None | bool():
                    pass
                case int() | float():
                    in_range(item)
                case _:
                    given(item)
                    raise Refused("uses a value of a kind that templates do not know")
            fits(size)
        self.spend(nodes // _NODES_PER_STEP + size // _BYTES_PER_STEP)


class RunContext(Context):
    """What generated code hands to filters: its names and, with them, the run."""

    run: Run


def given(*values: Any) -> None:
    """Raises jinja2.UndefinedError for the first that is missing."""
    for value in values:
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()


def fits(size: int) -> None:
    """Raises Refused where a text of so many bytes is too long."""
    if size > MAX_TEXT:
        raise Refused(f"makes a text that is longer than {MAX_TEXT // 1024} KiB")


def nodes_to_come(count: int) -> None:
    """Raises Refused where so many items are too many for one value."""
    if count > MAX_NODES:
        raise Refused(f"makes a value of more than {MAX_NODES} items")


def in_range(number: float) -> None:
    """Raises Refused for a number that is not finite, and for a whole one with more digits than numbers have."""
    if abs(number) > MAX_NUMBER if isinstance(number, int) else not math.isfinite(number):
        raise Refused("makes a number that is out of range")


def text_size(text: Any) -> int:
    """Bytes of UTF-8. Raises Refused for what is no text."""
    if not isinstance(text, str):
        raise Refused("makes an object with a key that is not a text")
    if text.isascii():
        return len(text)
    fits(len(text))
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise Refused("makes a text with a character that is not one") from None
