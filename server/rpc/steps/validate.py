"""Validation: the bytes are a message of the right type, and the message keeps the rules written in its proto."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from buf.validate import validate_pb2
from server.kernel.errors import InvalidRequest

# A value takes two bytes or more: what is smaller than this holds too few for a look at each of them to take long.
_FEW_BYTES = 16_384
_MOST_VALUES = 50_000
# With each rule that is broken some 30 microseconds go by: so many values are looked at in one go.
_FEW_VALUES = 1_000
# Of more values, more than an answer has room for; to name one takes as long again.
_MOST_NAMED = 200


Problems = list[tuple[str, str]]
"""Paths of fields, and what is wrong with each."""


def reader(parse: Callable[[bytes], Message], broken: Callable[[Message], Problems]) -> Callable[[bytes], Message]:
    """Reads a request; raises InvalidRequest. `broken`: the rules that it breaks, asked for where it is refused anyway.

    It is for the chain, and no deserializer of gRPC's: that runs before anybody knows who is calling, and what it
    raises is answered UNKNOWN with its text. NUL, which PostgreSQL's text cannot hold, is looked for here, because only
    here are the raw bytes at hand: most have no zero.
    """

    def read(data: bytes) -> Message:
        try:
            message = parse(data)
        except DecodeError:
            problem = "is not a well-formed message: check its encoding and that text is UTF-8"
            raise InvalidRequest([("", problem)]) from None
        # Before anything looks at each value, the rules too: nobody else is served meanwhile.
        if len(data) > _FEW_BYTES:
            _check_lengths(message)
        if b"\0" in data and (paths := list(_nul_paths(message))):
            known = set(paths)
            others = [(path, problem) for path, problem in broken(message) if path not in known]
            raise InvalidRequest([(path, "must not contain NUL") for path in paths] + others)
        return message

    return read


def _check_lengths(message: Message) -> None:
    """Raises InvalidRequest for lists that are longer than their rules allow, and for more values in all lists together
    than any request needs.
    """
    values, too_long = 0, []
    for path, length, most in _lists(message):
        values += length
        if length > most:
            too_long.append((path, f"must have at most {most} items"))
        if values > _MOST_VALUES:
            break
    if too_long or values > _MOST_VALUES:
        raise InvalidRequest(too_long or [("", f"must have at most {_MOST_VALUES} values in its lists")])


def _lists(message: Message, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """Path, length and greatest allowed length of each list and map, but for those within one that is too long."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        if not field.is_repeated:
            if field.message_type is not None:
                yield from _lists(value, f"{path}.")
            continue
        length, most = len(value), _most_items(field)
        yield path, length, most
        if field.message_type is None or length > most:
            continue
        if not field.message_type.GetOptions().map_entry:
            for index, item in enumerate(value):
                yield from _lists(item, f"{path}[{index}].")
        elif field.message_type.fields_by_name["value"].message_type is not None:
            for item in value.values():
                yield from _lists(item, f"{path}[...].")


@cache
def _most_items(field: FieldDescriptor) -> int:
    """How long a list or map may be by its rules."""
    options: Any = field.GetOptions()
    rules = options.Extensions[validate_pb2.field]
    for kind, name in (("repeated", "max_items"), ("map", "max_pairs")):
        if rules.HasField(kind) and (rule := getattr(rules, kind)).HasField(name):
            return int(getattr(rule, name))
    return _MOST_VALUES


def _nul_paths(message: Message, prefix: str = "") -> Iterator[str]:
    for field, value in message.ListFields():
        name = f"{prefix}{field.name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entries = value.items()
            nested = field.message_type.fields_by_name["value"].message_type is not None
            for key, item in entries:
                if "\0" in str(key) or (isinstance(item, str) and "\0" in item):
                    yield f"{name}[...]"
                elif nested:
                    yield from _nul_paths(item, f"{name}[...].")
            continue
        items = value if field.is_repeated else (value,)
        for index, item in enumerate(items):
            path = f"{name}[{index}]" if field.is_repeated else name
            if field.type == FieldDescriptor.TYPE_STRING:
                if "\0" in item:
                    yield path
            elif field.type == FieldDescriptor.TYPE_MESSAGE:
                yield from _nul_paths(item, f"{path}.")


# It compiles the rules of each message once.
_VALIDATOR = protovalidate.Validator()


class Validate:
    """Refuses a request that breaks the rules of its proto, naming every field, as far as an answer has room."""

    def __init__(self) -> None:
        self._collect = _VALIDATOR.collect_violations
        self._empty: set[type] = set()
        """Messages without a field, which break no rule."""

    def __call__(self, request: Message) -> None:
        if type(request) in self._empty:
            return
        if not request.DESCRIPTOR.fields:
            self._empty.add(type(request))
            return
        if self._collect(request, fail_fast=True):
            raise InvalidRequest(self.broken(request))

    def broken(self, request: Message) -> Problems:
        """The rules that it breaks. Where it has very many values, it is looked at in pieces: of very many problems the
        first ones are told, and of rules of a whole list or message only the first, or what comes before it.
        """
        if _values(request) <= _FEW_VALUES:
            return [_problem(violation) for violation in self._collect(request)]
        problems = [_problem(violation) for violation in self._collect(request, fail_fast=True)]
        rest = type(request)()
        rest.CopyFrom(request)
        lists = [
            field.name for field, value in request.ListFields() if field.is_repeated and not hasattr(value, "keys")
        ]
        for name in lists:
            rest.ClearField(name)
        problems += [
            _problem(violation)
            for violation in self._collect(rest, fail_fast=_values(rest) > _FEW_VALUES)
            # Without its lists the message as a whole may break rules, and those lists do.
            if violation.proto.field and violation.proto.field.elements[0].field_name not in lists
        ]
        for name in lists:
            problems += self._broken_items(request, name)
        return list(dict.fromkeys(problems))[:_MOST_NAMED]

    def _broken_items(self, request: Message, name: str) -> Problems:
        """The rules that the items of a list break: some are looked at together, in a message that has no others."""
        problems: Problems = []
        items, start = getattr(request, name), 0
        while start < len(items) and len(problems) < _MOST_NAMED:
            values, end = 0, start
            while end < len(items) and values < _FEW_VALUES:
                values += 1 + (_values(items[end]) if isinstance(items[end], Message) else 0)
                end += 1
            piece = type(request)()
            getattr(piece, name).extend(items[start:end])
            for violation in self._collect(piece, fail_fast=values > 2 * _FEW_VALUES):
                elements = violation.proto.field.elements if violation.proto.field else ()
                if elements and elements[0].field_name == name and elements[0].subscript is not None:
                    problems.append(_problem(violation, start))
            start = end
        return problems


def _values(message: Message) -> int:
    return sum(length for _, length, _ in _lists(message))


def _problem(violation: protovalidate.Violation, start: int = 0) -> tuple[str, str]:
    return _path(violation, start), violation.proto.message


def _path(violation: protovalidate.Violation, start: int) -> str:
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        path += ("." if path else "") + element.field_name
        if (place := element.subscript) is not None:
            path += f"[{place.value + start if isinstance(place.value, int) else place.value}]"
            start = 0
    # The path of a rule over a whole message ends at the message; by convention its id is `<field>.<what>`.
    field = violation.proto.rule_id.partition(".")[0]
    if not path:
        return field
    whole = violation.field_value
    return f"{path}.{field}" if isinstance(whole, Message) and field in whole.DESCRIPTOR.fields_by_name else path
