"""The filters and tests that templates have: a short list, each bounded before it works and not only after."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import LoopContext, Undefined

from server.prompt.budget import MAX_TEXT, Missing, Refused, RunContext, fits, given, nodes_to_come, text_size

FILTERS: dict[str, Callable[..., Any]] = {}
"""By name; each takes the context, the value and its own arguments."""

_LOOP = frozenset(["index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem"])
_LONGEST_NUMBER = 100
_LONGEST_PATH = 4
_MAX_INDENT = 64
_MAX_TRIMMED = 32


def member(value: Any, key: Any) -> Any:
    """The entry of an object, the item of a list or text, or what a loop says of itself; Missing where there is none.

    Nothing else of a value can be reached: no method, no attribute.
    """
    given(value, key)
    if isinstance(value, dict):
        if isinstance(key, str) and key in value:
            return value[key]
    elif isinstance(value, (list, tuple, str)):
        if type(key) is int and -len(value) <= key < len(value):
            return value[key]
    elif isinstance(value, LoopContext) and key in _LOOP:
        return getattr(value, key)
    return Missing(name=str(key) if isinstance(key, (str, int)) else "the item")


def as_text(value: Any) -> str:
    """A scalar as it is written. Raises Refused for a list or an object."""
    if isinstance(value, str):
        return value
    given(value)
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)
    raise Refused("writes a list or an object as text: use join or tojson")


def as_items(value: Any) -> list[Any]:
    """What a loop over the value goes through: items, keys or characters. Raises Refused for a scalar."""
    given(value)
    if not isinstance(value, (list, tuple, dict, str)):
        raise Refused("goes through a value that is not a list, an object or a text")
    nodes_to_come(len(value))
    return list(value)


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _filter(
    *names: str, shallow: bool = False, slow: bool = False, missing: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Offers a function under these names, paid for: the value and all arguments by their size, before it works.

    `shallow`: it looks at no more than one item of any of them. `slow`: it works on a text character by character, and
    on a list item by item. `missing`: it takes a value that is not there.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        @pass_context
        @wraps(function)
        def apply(context: RunContext, value: Any, *args: Any, **named: Any) -> Any:
            given(*args, *named.values())
            if not missing:
                given(value)
            run = context.run
            run.spend(1)
            if shallow:
                return function(value, *args, **named)
            for weighed in (value, *args, *named.values()):
                run.weigh(weighed)
            if slow:
                run.scan(value)
            return run.kept(function(value, *args, **named))

        FILTERS.update(dict.fromkeys(names, apply))
        return apply

    return register


@_filter("default", "d", shallow=True, missing=True)
def _default(value: Any, default_value: Any = "", boolean: Any = False) -> Any:
    return default_value if isinstance(value, Undefined) or (boolean and not value) else value


@_filter("upper")
def _upper(value: Any) -> str:
    return as_text(value).upper()


@_filter("lower")
def _lower(value: Any) -> str:
    return as_text(value).lower()


@_filter("capitalize")
def _capitalize(value: Any) -> str:
    return as_text(value).capitalize()


@_filter("title", slow=True)
def _title(value: Any) -> str:
    text = as_text(value)
    return re.sub(r"[^-\s({\[<]+", lambda word: word[0][0].upper() + word[0][1:].lower(), text)


@_filter("trim", slow=True)
def _trim(value: Any, chars: Any = None) -> str:
    text, trimmed = as_text(value), None if chars is None else as_text(chars)
    # Each character of the one is looked for among all of the other.
    if trimmed is not None and len(trimmed) > _MAX_TRIMMED:
        raise Refused(f"trims more than {_MAX_TRIMMED} characters")
    return text.strip(trimmed)


@_filter("string")
def _string(value: Any) -> str:
    return as_text(value)


@_filter("replace", slow=True)
def _replace(value: Any, old: Any, new: Any, count: Any = None) -> str:
    text, old, new = as_text(value), as_text(old), as_text(new)
    times = text.count(old)
    if count is not None:
        times = min(times, _whole(count, 0, MAX_TEXT))
    fits(text_size(text) + times * (text_size(new) - text_size(old)))
    return text.replace(old, new, times)


@_filter("truncate")
def _truncate(value: Any, length: Any = 255, killwords: Any = False, end: Any = "...") -> str:
    text, end = as_text(value), as_text(end)
    length = _whole(length, 0, MAX_TEXT)
    if len(text) <= length:
        return text
    cut = text[: max(length - len(end), 0)]
    return f"{cut if killwords else cut.rsplit(' ', 1)[0]}{end}"


@_filter("indent", slow=True)
def _indent(value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:
    text, pad = as_text(value), " " * _whole(width, 0, _MAX_INDENT)
    lines = text.count("\n")
    fits(text_size(text) + (lines + 1) * len(pad))
    text = text.replace("\n", "\n" + pad) if blank else re.sub(r"\n(?=[^\n])", "\n" + pad, text)
    return pad + text if first else text


@_filter("tojson")
def _tojson(value: Any, indent: Any = None) -> str:
    """JSON as models read it: characters as they are, keys in order."""
    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, sort_keys=True, indent=None if indent is None else _whole(indent, 0, 8)
    )
    pieces, size = [], 0
    for piece in encoder.iterencode(value):
        size += len(piece)
        fits(size)
        pieces.append(piece)
    return "".join(pieces)


@_filter("int")
def _int(value: Any, default: Any = 0, base: Any = 10) -> Any:
    base = _whole(base, 2, 36)
    if is_number(value) or isinstance(value, bool):
        return int(value)
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return default
    try:
        return int(value, base)
    except ValueError:
        number = _read_float(value)
        return default if number is None else int(number)


@_filter("float")
def _float(value: Any, default: Any = 0.0) -> Any:
    if is_number(value) or isinstance(value, bool):
        return float(value)
    number = _read_float(value) if isinstance(value, str) and len(value) <= _LONGEST_NUMBER else None
    return default if number is None else number


def _read_float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


@_filter("round")
def _round(value: Any, precision: Any = 0, method: Any = "common") -> Any:
    precision = _whole(precision, -15, 15)
    if not is_number(value):
        raise Refused("rounds a value that is not a number")
    if method == "common":
        return round(float(value), precision)
    if method not in {"ceil", "floor"}:
        raise Refused("rounds by a method other than common, ceil and floor")
    scale = 10.0**precision
    scaled = value * scale
    return (math.ceil if method == "ceil" else math.floor)(scaled) / scale


@_filter("abs")
def _abs(value: Any) -> Any:
    if not is_number(value):
        raise Refused("takes the size of a value that is not a number")
    return abs(value)


@_filter("length", "count", shallow=True)
def _length(value: Any) -> int:
    if not isinstance(value, (list, tuple, dict, str)):
        raise Refused("counts a value that is not a list, an object or a text")
    return len(value)


@_filter("first", shallow=True)
def _first(value: Any) -> Any:
    return _end(value, 0, iter)


@_filter("last", shallow=True)
def _last(value: Any) -> Any:
    return _end(value, -1, reversed)


def _end(value: Any, place: int, through: Callable[[Any], Iterator[Any]]) -> Any:
    """The item at that place; of an object the key, without a look at the others."""
    if isinstance(value, dict) and value:
        return next(through(value))
    return member(value if isinstance(value, (list, tuple, str)) else as_items(value), place)


@_filter("list")
def _list(value: Any) -> list[Any]:
    return as_items(value)


@_filter("items")
def _items(value: Any) -> list[Any]:
    if not isinstance(value, dict):
        raise Refused("takes the entries of a value that is not an object")
    return list(value.items())


@_filter("reverse")
def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else as_items(value)[::-1]


@_filter("join", slow=True)
def _join(value: Any, d: Any = "", attribute: Any = None) -> str:
    path = _path(attribute)
    return concat([as_text(_inner(item, path)) for item in as_items(value)], as_text(d))


@_filter("sort", slow=True)
def _sort(
    value: Any,
    reverse: Any = False,
    case_sensitive: Any = False,
    attribute: Any = None,
) -> list[Any]:
    path = _path(attribute)
    return sorted(as_items(value), key=lambda item: _key(item, path, case_sensitive), reverse=bool(reverse))


@_filter("unique", slow=True)
def _unique(value: Any, case_sensitive: Any = False, attribute: Any = None) -> list[Any]:
    seen: dict[Any, Any] = {}
    path = _path(attribute)
    for item in as_items(value):
        key = _key(item, path, case_sensitive)
        if isinstance(key, (list, tuple, dict)):
            raise Refused("takes the unique ones of lists or objects")
        seen.setdefault(key, item)
    return list(seen.values())


def concat(pieces: list[str], between: str = "") -> str:
    """The pieces as one text. Raises Refused before it would be too long."""
    fits(sum(map(text_size, pieces)) + max(len(pieces) - 1, 0) * text_size(between))
    return between.join(pieces)


def _path(attribute: Any) -> list[str | int]:
    """The keys and places that an attribute such as `address.lines.0` names; none where there is none."""
    if attribute is None:
        return []
    keys = as_text(attribute).split(".", _LONGEST_PATH)
    if len(keys) > _LONGEST_PATH:
        raise Refused(f"names an attribute of more than {_LONGEST_PATH} parts")
    return [int(key) if key.isdecimal() and len(key) < _LONGEST_NUMBER else key for key in keys]


def _inner(value: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        value = member(value, key)
    given(value)
    return value


def _key(item: Any, path: Sequence[str | int], case_sensitive: Any) -> Any:
    key = _inner(item, path)
    return key.lower() if isinstance(key, str) and not case_sensitive else key


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise Refused(f"gives a filter an argument that is not a whole number from {least} to {most}")
    return value


def _test(holds: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(holds)
    def apply(value: Any, *args: Any) -> bool:
        given(value, *args)
        return holds(value, *args)

    return apply


def _divisible(value: Any, num: Any) -> bool:
    return is_number(value) and is_number(num) and value % num == 0


TESTS: Mapping[str, Callable[..., bool]] = {
    "defined": lambda value: not isinstance(value, Undefined),
    "undefined": lambda value: isinstance(value, Undefined),
    "none": _test(lambda value: value is None),
    "string": _test(lambda value: isinstance(value, str)),
    "number": _test(is_number),
    "integer": _test(lambda value: type(value) is int),
    "float": _test(lambda value: isinstance(value, float)),
    "boolean": _test(lambda value: isinstance(value, bool)),
    "true": _test(lambda value: value is True),
    "false": _test(lambda value: value is False),
    "mapping": _test(lambda value: isinstance(value, dict)),
    "sequence": _test(lambda value: isinstance(value, (list, tuple, str))),
    "iterable": _test(lambda value: isinstance(value, (list, tuple, str, dict))),
    "odd": _test(lambda value: type(value) is int and value % 2 == 1),
    "even": _test(lambda value: type(value) is int and value % 2 == 0),
    "divisibleby": _test(_divisible),
}
