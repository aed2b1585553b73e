"""Validation: the bytes are a message of the right type, and the message keeps the rules written in its proto."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from buf.validate import validate_pb2
from server.kernel.errors import InvalidRequest
from server.rpc.steps.malformed import breaks_rules, broken_rules, is_flat

# A value takes two bytes or more: what is smaller than this holds too few for a look at each of them to take long.
_FEW_BYTES = 16_384
_MOST_VALUES = 50_000


def reader(parse: Callable[[bytes], Message]) -> Callable[[bytes], Message]:
    """Reads a request; raises InvalidRequest.

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
            others = [(path, problem) for path, problem in broken_rules(message) if path not in known]
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
        if field.message_type is None or is_flat(field.message_type) or length > most:
            continue
        if not field.message_type.GetOptions().map_entry:
            for index, item in enumerate(value):
                yield from _lists(item, f"{path}[{index}].")
        else:
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


class Validate:
    """Refuses a request that breaks the rules of its proto, naming every field, as far as an answer has room."""

    def __init__(self) -> None:
        self._empty: set[type] = set()
        """Messages without a field, which break no rule."""

    def __call__(self, request: Message) -> None:
        if type(request) in self._empty:
            return
        if not request.DESCRIPTOR.fields:
            self._empty.add(type(request))
            return
        if breaks_rules(request):
            raise InvalidRequest(broken_rules(request))
