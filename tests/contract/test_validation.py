"""What each request accepts and what it refuses, naming the field."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import protos
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from buf.validate import validate_pb2
from server.kernel.errors import InvalidRequest
from server.rpc.steps.validate import Validate
from tests.contract.audit_cases import AUDIT_CASES
from tests.contract.cases import Cases
from tests.contract.contract import CONTRACT
from tests.contract.identity_cases import IDENTITY_CASES
from tests.contract.knowledge_cases import KNOWLEDGE_CASES
from tests.contract.model_cases import MODEL_CASES
from tests.contract.prompt_cases import PROMPT_CASES
from tests.contract.tenant_cases import TENANT_CASES
from tests.contract.workflow_cases import WORKFLOW_CASES

CASES: Cases = {
    **IDENTITY_CASES,
    **TENANT_CASES,
    **MODEL_CASES,
    **PROMPT_CASES,
    **KNOWLEDGE_CASES,
    **WORKFLOW_CASES,
    **AUDIT_CASES,
}
REQUESTS = {
    method.proto.input_type.rpartition(".")[2]: method.proto.input_type.removeprefix(".") for method in CONTRACT.methods
}
for name in protos.sources():
    importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2")


def make(name: str, fields: dict[str, Any]) -> Any:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(REQUESTS[name])
    return message_factory.GetMessageClass(descriptor)(**fields)


def cases(which: int) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}-{number}")
        for name, table in CASES.items()
        for number, case in enumerate(table[which])
    ]


def test_the_table_has_a_line_for_every_request() -> None:
    assert set(CASES) == set(REQUESTS)


@pytest.mark.parametrize(("name", "fields"), cases(0))
def test_a_good_request_passes(name: str, fields: dict[str, Any]) -> None:
    Validate()(make(name, fields))


@pytest.mark.parametrize(("name", "case"), cases(1))
def test_a_bad_request_is_refused_by_the_name_of_its_field(name: str, case: tuple[dict[str, Any], str]) -> None:
    fields, culprit = case

    with pytest.raises(InvalidRequest) as raised:
        Validate()(make(name, fields))
    assert {field for field, _ in raised.value.violations} == {culprit}


def _unlooked(field: FieldDescriptor) -> bool:
    """Whether no rule is looked for in it."""
    return field.GetOptions().Extensions[validate_pb2.field].ignore == validate_pb2.IGNORE_ALWAYS


def test_every_field_that_has_a_rule_is_refused_in_some_line() -> None:
    for name, (_, bad) in CASES.items():
        descriptor = descriptor_pool.Default().FindMessageTypeByName(REQUESTS[name])
        refused = {culprit.partition(".")[0].partition("[")[0] for _, culprit in bad}
        ruled = {field.name for field in descriptor.fields if field.GetOptions().ByteSize() and not _unlooked(field)}
        assert ruled <= refused, name


def _fields(message: Descriptor, seen: set[str]) -> Iterator[FieldDescriptor]:
    """The fields of a request and of the messages in it."""
    if message.full_name in seen or message.full_name.startswith("google."):
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field
        if field.message_type is not None:
            yield from _fields(field.message_type, seen)


def test_no_request_has_a_map_or_rules_for_the_messages_of_a_list_that_are_not_their_types() -> None:
    found, seen = [], set[str]()
    for name in REQUESTS.values():
        for field in _fields(descriptor_pool.Default().FindMessageTypeByName(name), seen):
            if field.is_repeated and field.message_type is not None:
                rules = field.GetOptions().Extensions[validate_pb2.field].repeated
                if field.message_type.GetOptions().map_entry or rules.HasField("items"):
                    found.append(field.full_name)

    assert len(seen) > len(REQUESTS)
    assert not found, "server/rpc/steps/malformed.py does not look at these in pieces"
