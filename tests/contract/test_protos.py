"""What every proto keeps to, the ones still to be written included."""

from __future__ import annotations

import re

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from atrium.errors.v1.error_reason_pb2 import ErrorReason
from buf.validate import validate_pb2
from server.kernel.permissions import Permission
from tests.contract.contract import Contract, Method, comments_of

UNPAGED = {"ListActions", "ListLabels", "ListPermissions"}
"""Lists whose length is bounded by the code."""

ANSWERED = {
    "atrium.audit.v1.AuditLog",
    "atrium.knowledge.v1.Document",
    "atrium.knowledge.v1.SearchResult",
    "atrium.workflow.v1.Agent",
    "atrium.workflow.v1.Execution",
    "atrium.workflow.v1.RunAgentResponse.Ended",
    "atrium.workflow.v1.Task",
    "atrium.tenant.v1.TenantConfig",
}
"""Messages with free values that no request holds."""

SECRET = re.compile(
    r"(password|secret|token|refresh|previous|key)_hash$|login_attempts|ciphertext|nonce|wrapped|private_key"
    r"|^embedding$|search_vector|last_login_ip|token_epoch"
)
PREFIX = "ERROR_REASON_"
CODES = {code.name for code in grpc.StatusCode}


def status_lines(comment: str) -> list[tuple[str, str]]:
    """The status codes that a comment lists, each with what it says of it."""
    return re.findall(r"^- `(\w+)`: (.+)$", comment.replace("\n  ", " "), flags=re.M)


def permission_line(comment: str) -> str:
    found = re.search(r"^Permission: (.+?)(?:\n\n|\s*\Z)", comment, flags=re.S | re.M)
    return found[1].replace("\n", " ") if found else ""


def test_there_are_methods_to_look_at(contract: Contract) -> None:
    assert {method.service for method in contract.methods} >= {"TenantService", "IdentityService", "ModelService"}


def test_a_method_declares_what_it_asks_of_its_caller(method: Method) -> None:
    assert method.has_rule
    assert method.rule.WhichOneof("access") is not None
    assert not method.rule.permission or method.rule.permission in set(Permission)


def test_a_method_has_a_request_and_a_response_of_its_own(method: Method) -> None:
    expected = [f".{method.package}.{method.proto.name}{kind}" for kind in ("Request", "Response")]

    assert [method.proto.input_type, method.proto.output_type] == expected


def test_a_create_takes_an_idempotency_key_and_whatever_takes_one_says_how_it_is_refused(
    contract: Contract, method: Method
) -> None:
    request = contract.messages[method.proto.input_type.removeprefix(".")]
    keyed = "idempotency_key" in {field.name for field in request.field}

    assert keyed or not method.proto.name.startswith("Create")
    assert keyed == any("`IDEMPOTENCY_KEY_REUSED`" in text for _, text in status_lines(method.comment))


def test_a_methods_comment_says_first_what_it_does_in_the_third_person(method: Method) -> None:
    assert re.match(r"[A-Z][a-z]*s\b", method.comment)


def test_a_methods_comment_names_the_permission_of_its_rule(method: Method) -> None:
    line, rule = permission_line(method.comment), method.rule

    if rule.permission:
        assert line.startswith(f"`{rule.permission}`")
    elif rule.authenticated:
        assert line.startswith("none but a credential")
    else:
        assert line.startswith("none, and no credential")
    assert rule.platform_only == ("for the platform's administrators only" in line)
    assert rule.super_admin == ("for the platform's super administrators only" in line)


def test_what_removes_for_good_or_tells_of_the_database_itself_is_for_super_administrators_alone(
    method: Method,
) -> None:
    assert method.rule.super_admin == (method.proto.name.startswith("Purge") or method.proto.name == "ListDdlLogs")


def test_a_methods_comment_lists_its_status_codes(method: Method, contract: Contract) -> None:
    listed = [code for code, _ in status_lines(method.comment)]
    expected = set() if method.rule.public else {"UNAUTHENTICATED"}
    if method.rule.permission:
        expected.add("PERMISSION_DENIED")
    if contract.messages[method.proto.input_type.removeprefix(".")].field:
        expected.add("INVALID_ARGUMENT")

    assert expected <= set(listed) <= CODES
    assert len(set(listed)) == len(listed)


def test_a_reason_stands_beside_the_status_code_that_it_comes_with(method: Method, contract: Contract) -> None:
    reasons = reason_comments(contract)

    for code, text in status_lines(method.comment):
        for reason in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text):
            assert f"`{code}`" in reasons[reason]


def test_every_reason_has_its_status_code_and_an_example(contract: Contract) -> None:
    reasons = reason_comments(contract)

    assert set(reasons) == {value.name.removeprefix(PREFIX) for value in ErrorReason.DESCRIPTOR.values if value.number}
    for comment in reasons.values():
        assert any(f"`{code}`" in comment for code in CODES)
        assert "Example: " in comment


def reason_comments(contract: Contract) -> dict[str, str]:
    (file,) = (file for file in contract.files if file.package == "atrium.errors.v1")
    comments = comments_of(file)
    values = enumerate(file.enum_type[0].value)
    return {value.name.removeprefix(PREFIX): comments[5, 0, 2, index] for index, value in values if value.number}


def test_an_enum_starts_unspecified(contract: Contract) -> None:
    for name, enum in contract.enums.items():
        assert (enum.value[0].number, enum.value[0].name.endswith("_UNSPECIFIED")) == (0, True), name


def test_no_message_can_carry_a_secret(contract: Contract) -> None:
    fields = [f"{name}.{field.name}" for name, message in contract.messages.items() for field in message.field]

    assert [field for field in fields if SECRET.search(field.rpartition(".")[2])] == []


@pytest.mark.parametrize("name", ["password_hash", "refresh_hash", "login_attempts", "ciphertext", "embedding"])
def test_a_secret_is_known_by_its_name(name: str) -> None:
    assert SECRET.search(name)


def test_passwords_go_in_and_never_out(contract: Contract) -> None:
    carriers = {
        name.split(".")[3]
        for name, message in contract.messages.items()
        for field in message.field
        if "password" in field.name
    }

    assert carriers == {
        "LoginRequest",
        "ChangePasswordRequest",
        "ResetPasswordRequest",
        "CreateUserRequest",
        "CreateTenantRequest",
    }


def test_a_list_comes_in_pages(method: Method, contract: Contract) -> None:
    if not method.proto.name.startswith("List") or method.proto.name in UNPAGED:
        return
    request = contract.messages[method.proto.input_type.removeprefix(".")]
    response = contract.messages[method.proto.output_type.removeprefix(".")]

    assert [(field.name, field.number) for field in request.field[:2]] == [("page_size", 1), ("page_token", 2)]
    assert [field.name for field in response.field][1:] == ["next_page_token"]
    assert response.field[0].label == FieldDescriptorProto.LABEL_REPEATED


def test_an_update_names_its_fields_in_the_mask_and_takes_an_etag(method: Method, contract: Contract) -> None:
    if not method.proto.name.startswith("Update"):
        return
    request = contract.messages[method.proto.input_type.removeprefix(".")]
    fields = {field.name: field for field in request.field}
    mask = fields.pop("update_mask").options.Extensions[validate_pb2.field].field_mask
    etag = fields.pop("etag")
    changeable = [
        name
        for name, field in fields.items()
        if field.proto3_optional
        or field.type == FieldDescriptorProto.TYPE_MESSAGE
        or field.label == FieldDescriptorProto.LABEL_REPEATED
    ]

    assert list(getattr(mask, "in")) == changeable
    assert set(fields) - set(changeable) <= {"id", "tenant_id", "document_id", "changelog"}
    assert etag.type == FieldDescriptorProto.TYPE_STRING


def test_every_text_in_a_request_has_an_end(contract: Contract) -> None:
    """A string without a limit is a way to fill the memory or overrun a column."""
    for name, message in contract.messages.items():
        if not re.search(r"Request(\.|$)", name):
            continue
        for field in message.field:
            rules = field.options.Extensions[validate_pb2.field]
            text = rules.repeated.items.string if field.label == FieldDescriptorProto.LABEL_REPEATED else rules.string
            if field.type == FieldDescriptorProto.TYPE_STRING:
                bounded = text.HasField("max_len") or text.HasField("max_bytes") or text.uuid or "{" in text.pattern
                assert bounded, f"{name}.{field.name}"
            if field.label == FieldDescriptorProto.LABEL_REPEATED:
                assert rules.repeated.HasField("max_items"), f"{name}.{field.name}"


def test_no_rules_are_looked_for_in_free_values(contract: Contract) -> None:
    """They have none, and a look at each of three hundred thousand takes seconds in which nobody else is served."""
    for name, message in contract.messages.items():
        for field in message.field:
            rules = field.options.Extensions[validate_pb2.field]
            if field.type_name in (".google.protobuf.Struct", ".google.protobuf.Value") and not rules.cel:
                ignored = rules.ignore == validate_pb2.IGNORE_ALWAYS
                assert ignored or name in ANSWERED, f"{name}.{field.name}"


def test_a_rule_over_a_whole_message_is_named_after_the_field_to_blame(contract: Contract) -> None:
    for name, message in contract.messages.items():
        fields = {field.name for field in message.field}
        for rule in message.options.Extensions[validate_pb2.message].cel:
            assert rule.id.partition(".")[0] in fields, f"{name}: {rule.id}"
