"""Validation: the bytes are a message of the right type, and the message keeps the rules written in its proto."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from server.kernel.errors import InvalidRequest


class Undecodable:
    """Stands in for a request that could not be read, until the chain has decided whether the caller may know why."""

    __slots__ = ("violations",)

    def __init__(self, *violations: tuple[str, str]) -> None:
        self.violations = violations


def tolerant(parse: Callable[[bytes], Message]) -> Callable[[bytes], Message | Undecodable]:
    """A deserializer that never raises.

    gRPC runs it before any handler and answers UNKNOWN with the parser's own text when it fails. NUL, which
    PostgreSQL's text cannot hold, is looked for here, because only here are the raw bytes at hand: most have no zero.
    """

    def deserialize(data: bytes) -> Message | Undecodable:
        try:
            message = parse(data)
        except DecodeError:
            return Undecodable(("", "is not a well-formed message: check its encoding and that text is UTF-8"))
        if b"\0" in data and (paths := list(_nul_paths(message))):
            return Undecodable(*((path, "must not contain NUL") for path in paths))
        return message

    return deserialize


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
    """Refuses a request that breaks the rules of its proto, naming every field."""

    def __init__(self) -> None:
        self._collect = protovalidate.Validator().collect_violations
        self._empty: set[type] = set()
        """Messages without a field, which break no rule."""

    def __call__(self, request: Message | Undecodable) -> None:
        if type(request) in self._empty:
            return
        if isinstance(request, Undecodable):
            raise InvalidRequest(request.violations)
        if not request.DESCRIPTOR.fields:
            self._empty.add(type(request))
            return
        violations = self._collect(request)
        if violations:
            raise InvalidRequest([(_path(violation), violation.proto.message) for violation in violations])


def _path(violation: protovalidate.Violation) -> str:
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else ():
        path += ("." if path else "") + element.field_name
        if element.subscript is not None:
            path += f"[{element.subscript.value}]"
    # The path of a rule over a whole message ends at the message; by convention its id is `<field>.<what>`.
    field = violation.proto.rule_id.partition(".")[0]
    if not path:
        return field
    whole = violation.field_value
    return f"{path}.{field}" if isinstance(whole, Message) and field in whole.DESCRIPTOR.fields_by_name else path
