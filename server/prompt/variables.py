"""A prompt's variables: what is declared of them, and how values are bound to them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, get_args

from server.prompt.errors import PromptVariablesInvalid

VariableType = Literal["string", "integer", "number", "boolean", "list", "object"]

MAX_DEPTH = 16
MAX_BYTES = 256 * 1024
MAX_EXACT = 2**53
"""The largest whole number that every JSON reader keeps exact."""

_LONGEST_WHOLE = 2**64
"""Up to which JSON is read into whole numbers."""

_KEYWORDS = {"and", "else", "false", "False", "if", "in", "is", "none", "None", "not", "or", "true", "True"}
RESERVED = frozenset(_KEYWORDS | {"caller", "kwargs", "loop", "range", "self", "super", "varargs"})
"""Words of the template language: a variable of such a name could not be used."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

_SCALAR_BYTES = 8
_NAME_SHOWN = 64
_ARTICLE = {kind: "an" if kind[0] in "aeiou" else "a" for kind in get_args(VariableType)}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of a prompt. `default`: what an absent value is read as; None: there is no default."""

    name: str
    type: VariableType
    required: bool = False
    default: Any = None
    description: str = ""


def check_declared(variables: Sequence[Variable]) -> None:
    """Raises PromptVariablesInvalid, with every problem, where these cannot be a prompt's variables."""
    problems: list[tuple[str, str]] = []
    seen: set[str] = set()
    reading = _Reading()
    for index, variable in enumerate(variables):
        path = f"variables[{index}]"
        if not NAME.fullmatch(variable.name):
            problems.append((f"{path}.name", "must be letters, digits and _, at most 64, with no digit first"))
        elif variable.name in RESERVED:
            problems.append((f"{path}.name", "is a word of the template language"))
        elif variable.name in seen:
            problems.append((f"{path}.name", "is declared twice"))
        seen.add(variable.name)
        if variable.type not in _ARTICLE:
            problems.append((f"{path}.type", f"must be one of {', '.join(_ARTICLE)}"))
        elif variable.default is not None and not reading.full:
            problems += reading.problems(f"{path}.default", variable.type, variable.default)
            if reading.full:
                problems.append((f"{path}.default", f"makes the defaults more than {MAX_BYTES // 1024} KiB together"))
        if variable.required and variable.default is not None:
            problems.append((f"{path}.default", "must be absent, since the variable is required"))
    if problems:
        raise PromptVariablesInvalid(problems)


def bind(variables: Sequence[Variable], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by their variables' names, with defaults applied; a variable with neither is left out.

    Numbers that are whole become int, since a protobuf Struct knows floats alone, and objects have their entries by
    name. What is given is copied.
    Raises PromptVariablesInvalid with every problem.
    """
    declared = {variable.name: variable for variable in variables}
    problems = [
        (f"variables.{name[:_NAME_SHOWN]}", "is not a variable of this prompt")
        for name in values
        if name not in declared
    ]
    reading, bound = _Reading(), dict[str, Any]()
    for name, variable in declared.items():
        if name in values:
            found = reading.problems(f"variables.{name}", variable.type, values[name])
            if not found:
                bound[name] = reading.result
            problems += found
        elif variable.default is not None:
            # A default does not count towards what the caller sent.
            own = _Reading()
            problems += own.problems(f"variables.{name}", variable.type, variable.default)
            bound[name] = own.result
        elif variable.required:
            problems.append((f"variables.{name}", "is required"))
    if reading.full:
        problems.append(("variables", f"hold more than {MAX_BYTES // 1024} KiB together"))
    if problems:
        raise PromptVariablesInvalid(problems)
    return bound


class _Full(Exception):
    """Reading has come past the bytes that are allowed; the rest is not looked at."""


class _Reading:
    """Reads values into plain ones of their own, counting the bytes of all of them together."""

    def __init__(self) -> None:
        self._bytes = 0
        self.result: Any = None

    @property
    def full(self) -> bool:
        """Whether the values are more than MAX_BYTES together."""
        return self._bytes > MAX_BYTES

    def problems(self, path: str, kind: VariableType, value: Any) -> list[tuple[str, str]]:
        """What is wrong with the value; where nothing is and this is not `full`, `result` is what it is read as."""
        self.result, found = None, list[tuple[str, str]]()
        try:
            if not _is_of(kind, value):
                return [(path, f"must be {_ARTICLE[kind]} {kind}")]
            self.result = self._read(path, value, found, depth=0)
        except _Full:
            return found
        if kind == "integer" and not found and isinstance(self.result, float):
            return [(path, "must be an integer")]
        return found

    def _read(self, path: str, value: Any, found: list[tuple[str, str]], depth: int) -> Any:
        match value:
            case bool() | None:
                self._count(_SCALAR_BYTES)
                return value
            case int() | float():
                self._count(_SCALAR_BYTES)
                return _number(path, value, found)
            case str():
                return self._text(path, value, found)
        self._count(_SCALAR_BYTES)
        if depth == MAX_DEPTH:
            found.append((path, f"is nested deeper than {MAX_DEPTH}"))
            return None
        if isinstance(value, Mapping):
            return {
                self._text(path, key, found): self._read(f"{path}.{key[:_NAME_SHOWN]}", item, found, depth + 1)
                for key, item in _pairs(path, value, found)
            }
        if isinstance(value, (list, tuple)):
            return [self._read(f"{path}[{index}]", item, found, depth + 1) for index, item in enumerate(value)]
        found.append((path, "is of a kind that prompts do not know"))
        return None

    def _text(self, path: str, text: str, found: list[tuple[str, str]]) -> str:
        # A character is a byte at least: what is far too long is not encoded to learn how long it is.
        self._count(max(len(text) - MAX_BYTES, 0))
        try:
            self._count(_SCALAR_BYTES + len(text.encode()))
        except UnicodeEncodeError:
            found.append((path, "holds a character that is not one"))
        return str(text)

    def _count(self, size: int) -> None:
        self._bytes += size
        if self.full:
            raise _Full


def _pairs(path: str, value: Mapping[Any, Any], found: list[tuple[str, str]]) -> Iterator[tuple[str, Any]]:
    """By name: a Struct has them in another order in each process, and what is rendered is the same everywhere."""
    names = [key for key in value if isinstance(key, str)]
    if len(names) < len(value):
        found.append((path, "has a key that is not a string"))
    for name in sorted(names):
        yield name, value[name]


def _is_of(kind: VariableType, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer" | "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "list":
            return isinstance(value, (list, tuple))
        case "object":
            return isinstance(value, Mapping)


def _number(path: str, value: float, found: list[tuple[str, str]]) -> int | float:
    if isinstance(value, int) and MAX_EXACT < abs(value) <= _LONGEST_WHOLE and Decimal(repr(float(value))) == value:
        value = float(value)  # a default, which the database writes as a whole number
    if isinstance(value, float):
        if not math.isfinite(value):
            found.append((path, "must be finite"))
            return 0
        if not value.is_integer() or abs(value) > MAX_EXACT:
            return value
    if abs(value) > MAX_EXACT:
        found.append((path, "must be between -2^53 and 2^53"))
        return 0
    return int(value)
