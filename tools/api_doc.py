"""Makes `docs/api.md` from the protos and their comments: `python tools/api_doc.py [--check]`.

With `--check` nothing is written, and the exit code is 1 if the page is not what the protos make.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import protos
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

sys.path.insert(0, str(protos.ROOT / "generated"))  # the options below are read through their stubs

from atrium.options.v1 import options_pb2
from buf.validate import validate_pb2

PAGE = protos.ROOT / "docs" / "api.md"

INTRODUCTION = """\
# gRPC API

<!-- Made from the comments in proto/ by `make docs`. -->

Every call carries `authorization: Bearer <access token>` or `x-api-key: <key>` in its metadata, and not both, but for
the methods marked public. The tenant comes from the credential and from nowhere else; the platform's administrators
alone, users of the platform who hold `tenants:manage` there, act inside another one, which they name with
`x-tenant-id`. `x-request-id` (made if absent) and W3C `traceparent` are taken up and come back as
trailing metadata `x-request-id` and `x-trace-id`.

A failed call has one of the status codes listed with its method, and a `google.rpc.Status` in its details whose
`google.rpc.ErrorInfo` names the [reason](#errorreason). No details come with what the transport itself answers, to more
metadata than `ATRIUM_MAX_METADATA_BYTES` or a message longer than `ATRIUM_MAX_MESSAGE_BYTES` (`RESOURCE_EXHAUSTED`) and
to a method that is not there (`UNIMPLEMENTED`), nor with what a client finds by itself, such as a lost connection.

Any method may also fail with:

- `INVALID_ARGUMENT`: the request is no well-formed message (`INVALID_REQUEST`): its one violation has an empty `field`.
- `RESOURCE_EXHAUSTED`: the server is busy (`SERVER_BUSY`).
- `UNAVAILABLE`: the database is out of reach (`DATABASE_UNAVAILABLE`), or the server is going down
  (`SERVER_SHUTTING_DOWN`).
- `DEADLINE_EXCEEDED`: the caller's deadline has passed, or the server's own ceiling is reached (`CEILING_REACHED`).
- `INTERNAL`: something unforeseen went wrong (`INTERNAL`).

and for a platform administrator who names a tenant with `x-tenant-id`:

- `INVALID_ARGUMENT`: it is not the id of a tenant (`INVALID_REQUEST`).
- `PERMISSION_DENIED`: the caller is of the platform and lacks `tenants:manage` (`PERMISSION_MISSING`).
- `NOT_FOUND`: there is no such tenant (`TENANT_NOT_FOUND`).
- `FAILED_PRECONDITION`: the tenant is suspended or deleted (`TENANT_NOT_ACTIVE`).

Lists come in pages, without total counts. Updates change the fields that their mask names. Amounts of money are
decimal strings in US dollars.
"""

_MESSAGE, _ENUM, _SERVICE = 4, 5, 6  # field numbers of FileDescriptorProto, as the paths of comments have them
_FIELD, _NESTED, _NESTED_ENUM = 2, 3, 4  # of DescriptorProto
_MEMBER = 2  # of ServiceDescriptorProto (method) and EnumDescriptorProto (value)

_SCALARS = {number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()}


@dataclass(frozen=True)
class Named:
    """A message or an enum with the comments on it; `name` is the path inside its package, such as `Tenant.State`."""

    name: str
    proto: DescriptorProto | EnumDescriptorProto
    comment: str
    member_comments: Sequence[str]


class Page:
    """The page, written file by file."""

    def __init__(self, files: Sequence[FileDescriptorProto]) -> None:
        self._files = files
        self._types = {f".{file.package}.{named.name}": named for file in files for named in _named(file)}
        self._shown: set[str] = set()

    def render(self) -> str:
        """The whole page as Markdown."""
        parts = [INTRODUCTION]
        for file in self._files:
            if file.service:
                parts += self._service(file)
        parts += ["## Common types\n", *self._rest("atrium.common.v1")]
        parts += ["## Errors\n", *self._rest("atrium.errors.v1")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"

    def _service(self, file: FileDescriptorProto) -> Iterator[str]:
        comments = _comments(file)
        service = file.service[0]
        yield f"## {service.name}\n\n`{file.package}.{service.name}`\n\n{comments[_SERVICE, 0]}\n"
        yield "| method | access | kind |\n| --- | --- | --- |"
        for method in service.method:
            kind = "server streaming" if method.server_streaming else "unary"
            yield f"| [{method.name}](#{method.name.lower()}) | {_access(method)} | {kind} |"
        yield ""
        for index, method in enumerate(service.method):
            yield from self._method(method, comments[_SERVICE, 0, _MEMBER, index])
        yield f"### Types of {service.name}\n"
        yield from self._rest(file.package)

    def _method(self, method: MethodDescriptorProto, comment: str) -> Iterator[str]:
        stream = "stream " if method.server_streaming else ""
        request, response = (_short(name) for name in (method.input_type, method.output_type))
        yield f"### {method.name}\n\n`rpc {method.name}({request}) returns ({stream}{response})` · {_access(method)}\n"
        yield f"{comment}\n"
        for name in (method.input_type, method.output_type):
            inner = [other for other in self._types if other.startswith(f"{name}.")]
            for shown in (name, *sorted(inner)):
                yield from self._type(shown)

    def _rest(self, package: str) -> Iterator[str]:
        """What no method has shown already."""
        for name in sorted(self._types):
            if name.startswith(f".{package}.") and name not in self._shown:
                yield from self._type(name)

    def _type(self, full_name: str) -> Iterator[str]:
        self._shown.add(full_name)
        named = self._types[full_name]
        yield f"#### {named.name}\n\n{named.comment}\n"
        if isinstance(named.proto, EnumDescriptorProto):
            yield "| value | number | meaning |\n| --- | --- | --- |"
            for value, comment in zip(named.proto.value, named.member_comments, strict=True):
                yield f"| `{value.name}` | {value.number} | {_cell(comment)} |"
            yield ""
        elif named.proto.field:
            yield "| field | type | meaning | rules |\n| --- | --- | --- | --- |"
            for field, comment in zip(named.proto.field, named.member_comments, strict=True):
                meaning = _cell(comment)
                rules = _cell("; ".join([*self._rules(field), *_alternatives(named.proto, field)]))
                yield f"| `{field.name}` | {self._field_type(field)} | {meaning} | {rules} |"
            yield ""
            for rule in named.proto.options.Extensions[validate_pb2.message].cel:
                yield f"- {rule.message}"
            yield ""

    def _rules(self, field: FieldDescriptorProto) -> Iterator[str]:
        rules = field.options.Extensions[validate_pb2.field]
        match self._types.get(field.type_name):
            case Named(proto=EnumDescriptorProto() as enum):
                return _rule_texts(rules, {value.number: value.name for value in enum.value})
            case _:
                return _rule_texts(rules, {})

    def _field_type(self, field: FieldDescriptorProto) -> str:
        if field.type_name in self._types:
            name = self._types[field.type_name].name
            text = f"[{name}](#{name.lower().replace('.', '')})"
        else:
            text = f"`{field.type_name.removeprefix('.') or _SCALARS[field.type]}`"
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"repeated {text}"
        return f"optional {text}" if field.proto3_optional else text


def _named(file: FileDescriptorProto) -> Iterator[Named]:
    comments = _comments(file)

    def enum(proto: EnumDescriptorProto, prefix: str, path: tuple[int, ...]) -> Named:
        members = [comments[*path, _MEMBER, index] for index in range(len(proto.value))]
        return Named(prefix + proto.name, proto, comments[path], members)

    def message(proto: DescriptorProto, prefix: str, path: tuple[int, ...]) -> Iterator[Named]:
        members = [comments[*path, _FIELD, index] for index in range(len(proto.field))]
        yield Named(prefix + proto.name, proto, comments[path], members)
        for index, nested in enumerate(proto.nested_type):
            yield from message(nested, f"{prefix}{proto.name}.", (*path, _NESTED, index))
        for index, nested_enum in enumerate(proto.enum_type):
            yield enum(nested_enum, f"{prefix}{proto.name}.", (*path, _NESTED_ENUM, index))

    for index, proto in enumerate(file.message_type):
        yield from message(proto, "", (_MESSAGE, index))
    for index, enum_proto in enumerate(file.enum_type):
        yield enum(enum_proto, "", (_ENUM, index))


def _alternatives(message: DescriptorProto, field: FieldDescriptorProto) -> Iterator[str]:
    """The field's oneof, as its other fields: one of them is set, or none."""
    if field.HasField("oneof_index") and not field.proto3_optional:
        others = [
            f"`{other.name}`"
            for other in message.field
            if other.HasField("oneof_index") and other.oneof_index == field.oneof_index and other.name != field.name
        ]
        yield f"one of this and {', '.join(others)}"


def _comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """The comment above each element, by the element's path."""
    locations = file.source_code_info.location
    return {
        tuple(location.path): re.sub(r"^ ", "", location.leading_comments, flags=re.M).strip() for location in locations
    }


def _access(method: MethodDescriptorProto) -> str:
    rule = method.options.Extensions[options_pb2.rule]
    text = f"`{rule.permission}`" if rule.permission else "signed in" if rule.authenticated else "public"
    if rule.super_admin:
        text += ", super administrators only"
    elif rule.platform_only:
        text += ", platform only"
    return text + (f", at most {rule.ceiling.seconds} s" if rule.HasField("ceiling") else "")


def _rule_texts(rules: Message, names: Mapping[int, str], prefix: str = "") -> Iterator[str]:
    """The rules in protovalidate's own terms; `names`: what an enum's numbers are called."""
    for descriptor, value in rules.ListFields():
        kind = descriptor.message_type.name if descriptor.message_type is not None else ""
        if descriptor.name == "cel":
            yield from (rule.message for rule in value)
        elif descriptor.name == "ignore":
            if value == validate_pb2.IGNORE_IF_ZERO_VALUE:
                yield "or unset"
        elif kind.endswith("Rules"):
            yield from _rule_texts(value, names, "each " if descriptor.name == "items" else prefix)
        elif isinstance(value, bool):
            yield prefix + descriptor.name
        else:
            values = value if descriptor.is_repeated else [value]
            yield f"{prefix}{descriptor.name} `{', '.join(_rule_value(value, names) for value in values)}`"


def _rule_value(value: object, names: Mapping[int, str]) -> str:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    return names.get(value, str(value)) if isinstance(value, int) else str(value)


def _short(full_name: str) -> str:
    return full_name.rpartition(".")[2]


def _cell(text: str) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    return "<br>".join(paragraphs).replace("|", r"\|")


def page() -> str:
    """The page as the protos make it now."""
    image = FileDescriptorSet.FromString(protos.image())
    return Page([file for file in image.file if file.package.startswith("atrium.")]).render()


def main() -> None:
    fresh = page()
    if sys.argv[1:] == ["--check"]:
        if not PAGE.exists() or PAGE.read_text() != fresh:
            sys.exit("docs/api.md is not what the protos make: run `make docs`")
        return
    PAGE.write_text(fresh)


if __name__ == "__main__":
    main()
