"""What is wrong with a request: the rules of its proto that it breaks, each with the field's path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from typing import Any

import protovalidate
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from buf.validate import validate_pb2

# With each rule that is broken some 30 microseconds go by, and nobody else is served: so many values are looked at in
# one go.
_FEW_VALUES = 1_000
# Of more values, more than an answer has room for.
_MOST_NAMED = 200

Problem = tuple[str, str]
"""Path of a field, and what is wrong with it."""

# Each compiles the rules of a message once, and knows it by its name: an outline has that of its message.
_MESSAGES = protovalidate.Validator()
_OUTLINES = protovalidate.Validator()
_OUTLINE_TYPES = DescriptorPool()


def breaks_rules(message: Message) -> bool:
    """Whether it breaks any, told by the first."""
    return bool(_MESSAGES.collect_violations(message, fail_fast=True))


def broken_rules(message: Message) -> list[Problem]:
    """Every rule that it breaks. Where it has very many values the first ones, as many as an answer has room for: those
    of whole messages and lists, and then those of lists' items.
    """
    if _values(message) <= _FEW_VALUES:
        return [_problem(violation) for violation in _MESSAGES.collect_violations(message)]
    return list(islice(_broken_in_pieces(message), _MOST_NAMED))


def _broken_in_pieces(message: Message, within: str = "") -> Iterator[Problem]:
    """The rules that a message of very many values breaks, looked for as they are asked for. `within`: before paths."""
    outline = _outline_type(message.DESCRIPTOR).FromString(message.SerializeToString())
    for violation in _OUTLINES.collect_violations(outline):
        yield _problem(violation, within)
    for holder, name, prefix in _lists(message, within):
        items = getattr(holder, name)
        for start, end, values in _pieces(items):
            if values > _FEW_VALUES:  # of one message, which has no rules as an item
                yield from _broken_in_pieces(items[start], f"{prefix}{name}[{start}].")
                continue
            piece = type(holder)()
            getattr(piece, name).extend(items[start:end])
            for violation in _MESSAGES.collect_violations(piece):
                elements = violation.proto.field.elements if violation.proto.field else ()
                # The others are of a message that has nothing else, and of a list that is shorter.
                if elements and elements[0].field_name == name and elements[0].subscript is not None:
                    yield _problem(violation, prefix, start)


def _values(message: Message) -> int:
    """How many values its lists and maps hold, and those within them."""
    count = 0
    for field, value in message.ListFields():
        if field.is_repeated:
            count += len(value)
        if field.message_type is not None and not is_flat(field.message_type):
            nested = value.values() if _is_map(field) else value if field.is_repeated else (value,)
            count += sum(map(_values, nested))
    return count


@cache
def is_flat(message: Descriptor) -> bool:
    """Whether there is neither a list nor another message in it."""
    return not any(field.is_repeated or field.message_type for field in message.fields)


def _pieces(items: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
    """Start and end of slices of a list, with their values: few ones, or more in a single item."""
    start = values = 0
    for index, item in enumerate(items):
        size = 1 + (_values(item) if isinstance(item, Message) else 0)
        if index > start and values + size > _FEW_VALUES:
            yield start, index, values
            start, values = index, 0
        values += size
    yield start, len(items), values


def _lists(message: Message, prefix: str) -> Iterator[tuple[Message, str, str]]:
    """Its lists, and those of messages in its fields: the message that holds it, its name, and what is before that.

    Not those in fields whose rules are ignored, such as free JSON. Maps, which no request has, are left to the outline.
    """
    for field, value in message.ListFields():
        if _is_map(field) or _rules(field.GetOptions()).ignore == validate_pb2.IGNORE_ALWAYS:
            continue
        if field.is_repeated:
            yield message, field.name, prefix
        elif field.message_type is not None:
            yield from _lists(value, f"{prefix}{field.name}.")


@cache
def _outline_type(message: Descriptor) -> type[Message]:
    """Reads a message as one whose lists' items have no rules, so that of many items no more rules are broken than of
    few. Rules over whole lists and messages are as they were.
    """
    _add_outlines(message.file)
    return GetMessageClass(_OUTLINE_TYPES.FindMessageTypeByName(message.full_name))


@cache  # of each file once
def _add_outlines(file: FileDescriptor) -> None:
    for needed in file.dependencies:
        _add_outlines(needed)
    outlines = FileDescriptorProto()
    file.CopyToProto(outlines)
    if not file.package.startswith(("google.", "buf.")):
        for outline in outlines.message_type:
            _drop_rules_of_items(outline, file.message_types_by_name[outline.name])
    _OUTLINE_TYPES.Add(outlines)


def _drop_rules_of_items(outline: DescriptorProto, message: Descriptor) -> None:
    for field in outline.field:
        described = message.fields_by_name[field.name]
        if described.is_repeated and not _is_map(described):
            _rules(field.options).repeated.items.ignore = validate_pb2.IGNORE_ALWAYS
    for nested in outline.nested_type:
        _drop_rules_of_items(nested, message.nested_types_by_name[nested.name])


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _rules(options: Any) -> Any:
    """The rules among a field's options."""
    return options.Extensions[validate_pb2.field]


def _problem(violation: protovalidate.Violation, within: str = "", start: int = 0) -> Problem:
    """`start`: where the list begins whose items the violation counts from 0."""
    return within + _path(violation, start), violation.proto.message


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
