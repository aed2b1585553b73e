"""Validation: every broken rule of the proto, and what cannot even be read, named by its field."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2
from google.protobuf.message import Message

from atrium.identity.v1 import session_pb2, user_pb2
from atrium.model.v1 import chat_pb2, embedding_pb2, route_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from atrium.workflow.v1 import definition_pb2, execution_pb2, workflow_pb2
from server.kernel.errors import InvalidRequest
from server.rpc.steps.validate import Validate, reader

VALIDATE = Validate()


def _violations(request: Message) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        VALIDATE(request)
    return [field for field, _ in refused.value.violations]


def _read(request: Message) -> Message:
    return reader(type(request).FromString)(request.SerializeToString())


def _unreadable(request: Message) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        _read(request)
    return list(refused.value.violations)


def _nul_fields(request: Message) -> list[str]:
    return [field for field, what in _unreadable(request) if what == "must not contain NUL"]


def test_a_good_request_comes_through_as_it_was_sent() -> None:
    request = session_pb2.LoginRequest(tenant="acme", login="ann", password="\u00e9\U0001f600")

    read = _read(request)

    assert read == request
    VALIDATE(request)


def test_every_broken_field_is_named_with_what_is_wrong() -> None:
    with pytest.raises(InvalidRequest) as refused:
        VALIDATE(session_pb2.LoginRequest(tenant="x" * 64))

    found = dict(refused.value.violations)
    assert found.keys() == {"tenant", "login", "password"}
    assert all(found.values())


def test_an_element_is_named_by_its_index_and_a_nested_field_by_its_path() -> None:
    assert _violations(embedding_pb2.EmbedRequest(inputs=["a", "", "b", ""])) == ["inputs[1]", "inputs[3]"]
    request = tenant_pb2.CreateTenantRequest(
        slug="acme", name="Acme", administrator={"username": "a", "password": "long enough"}
    )
    assert _violations(request) == ["administrator.email"]


def test_a_rule_over_the_whole_message_is_named_by_its_field() -> None:
    request = user_pb2.UpdateUserRequest(
        id="01890a5d-ac96-774b-bcce-b302099a8057", update_mask={"paths": ["username"]}, full_name="Ann"
    )

    assert _violations(request) == ["username"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",
        b"\x0a\x05ab",
        b"\xff" * 20,
        b"\x0a\x02\xff\xfe",  # not UTF-8
        b"\x0a\x03\xed\xa0\x80",  # half a surrogate pair
        b"\x0a\x02\xc0\x80",  # NUL in two bytes
        b"\x07",  # wire type 7
        b"\x0b" * 200,  # groups that never end
        b"\x00\x00",
    ],
    ids=lambda data: data[:6].hex(),
)
def test_bytes_that_are_no_message_are_a_malformed_request_without_the_parsers_text(data: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        reader(session_pb2.LoginRequest.FromString)(data)

    assert refused.value.violations == (
        ("", "is not a well-formed message: check its encoding and that text is UTF-8"),
    )


def test_fields_that_are_not_known_are_let_be() -> None:
    data = user_pb2.GetUserRequest(id="01890a5d-ac96-774b-bcce-b302099a8057").SerializeToString() + b"\xfa\x7f\x01\x00"

    VALIDATE(reader(user_pb2.GetUserRequest.FromString)(data))


def test_nul_is_found_in_a_field_and_every_one_is_named() -> None:
    assert _nul_fields(session_pb2.LoginRequest(tenant="a\0", login="b", password="\0")) == ["tenant", "password"]


def test_nul_is_found_in_what_a_list_holds() -> None:
    assert _nul_fields(embedding_pb2.EmbedRequest(inputs=["a", "b\0", "\0c"])) == ["inputs[1]", "inputs[2]"]


def test_nul_is_found_in_nested_and_repeated_messages() -> None:
    request = chat_pb2.ChatRequest(messages=[{"role": 1, "content": "a"}, {"role": 1, "content": "a\0b"}])

    assert _nul_fields(request) == ["messages[1].content"]
    assert _nul_fields(tenant_pb2.CreateTenantRequest(administrator={"email": "a\0"})) == ["administrator.email"]


def test_nul_is_found_in_free_json_and_in_its_keys() -> None:
    extra = struct_pb2.Struct()
    extra.update({"deep": {"list": ["a", "b\0"]}})

    assert _nul_fields(tenant_config_pb2.UpdateTenantConfigRequest(extra_config=extra)) == [
        "extra_config.fields[...].struct_value.fields[...].list_value.values[1].string_value"
    ]
    keyed = struct_pb2.Struct()
    keyed.update({"a\0": 1})
    assert _nul_fields(tenant_config_pb2.UpdateTenantConfigRequest(extra_config=keyed)) == ["extra_config.fields[...]"]


def test_nul_is_found_in_maps_of_text_and_numbers_are_no_text() -> None:
    request = _maps()
    request.texts["a"] = "b"
    request.texts["c"] = "d\0"
    request.texts["e\0"] = "f"
    request.numbers[0] = 0

    assert _nul_fields(request) == ["texts[...]", "texts[...]"]
    request.ClearField("texts")
    assert _read(request) == request


def test_zero_bytes_outside_of_text_are_no_nul() -> None:
    request = chat_pb2.ChatRequest(
        model="m", messages=[{"role": 1, "content": "a"}], temperature=0.5, seed=256, max_tokens=1
    )

    assert b"\0" in request.SerializeToString()
    assert _read(request) == request
    holder = _maps()
    holder.raw = b"\0\0"
    assert _read(holder) == holder


def _maps() -> Message:
    """A message with maps, as no request of ours has one yet: `texts`, `numbers`, and `raw` bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="maps.proto", package="maps", syntax="proto3")
    holder = file.message_type.add(name="Holder")
    for number, (name, key, value) in enumerate([("texts", 9, 9), ("numbers", 5, 5)], start=1):
        entry = holder.nested_type.add(name=f"{name.title()}Entry", options={"map_entry": True})
        entry.field.add(name="key", number=1, type=key, label=1)
        entry.field.add(name="value", number=2, type=value, label=1)
        holder.field.add(name=name, number=number, type=11, label=3, type_name=f".maps.Holder.{name.title()}Entry")
    holder.field.add(name="raw", number=3, type=12, label=1)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("maps.Holder"))()


def test_of_very_many_values_every_one_that_is_malformed_is_named_wherever_it_lies() -> None:
    inputs = ["a", "", *["b"] * 1_500, ""]
    request = embedding_pb2.EmbedRequest(model="m" * 101, inputs=inputs)

    named = _violations(request)

    assert set(named) == {"inputs[1]", "inputs[1502]", "model"}


def test_of_very_many_nested_values_every_one_that_is_malformed_is_named() -> None:
    call = chat_pb2.ToolCall(id="a", name="b", arguments="{}")
    messages = [chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_ASSISTANT, tool_calls=[call] * 100)] * 40
    request = chat_pb2.ChatRequest(model="m", messages=messages, stop=["", "a"])
    request.messages[1].tool_call_id = "x" * 201
    request.messages[39].tool_calls[99].id = ""

    named = _violations(request)

    assert set(named) == {"stop[0]", "messages[1].tool_call_id", "messages[39].tool_calls[99].id"}


def test_of_very_many_values_every_rule_over_a_whole_list_or_message_is_told_beside_those_of_items() -> None:
    targets = [*({"model": f"m{number}"} for number in range(1_100)), {"model": "m0"}, {"model": ""}]
    request = route_pb2.UpdateRouteRequest(id="x", update_mask={"paths": ["alias", "name"]}, targets=targets)
    request.fallbacks.outage.extend(["", *["m"] * 10])

    assert sorted(_violations(request)) == [
        "alias",
        "fallbacks.outage",
        "fallbacks.outage[0]",
        "id",
        "targets",  # too many
        "targets",  # one twice
        "targets[1101].model",
        "update_mask",
    ]


def test_of_very_many_values_in_lists_of_nested_messages_and_of_single_items_every_malformed_one_is_named() -> None:
    steps = [definition_pb2.Step(id=f"s{number}", transform={"value": "1"}) for number in range(3)]
    steps[1].needs.extend([*(f"s{number}" for number in range(1_500)), "s0", "x" * 101])
    steps[1].ClearField("kind")
    steps[2].id = "?"
    request = workflow_pb2.CreateWorkflowRequest(name="n", definition={"steps": steps})

    assert sorted(_violations(request)) == [
        "definition.steps[1].kind",
        "definition.steps[1].needs",  # too many
        "definition.steps[1].needs",  # one twice
        "definition.steps[1].needs[1501]",
        "definition.steps[2].id",
    ]


def test_a_rule_over_an_item_that_itself_has_very_many_values_is_named_by_the_items_field() -> None:
    calls = [chat_pb2.ToolCall(id="a", name="b", arguments="{}")] * 1_100
    turn = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, tool_calls=calls, tool_call_id="a")
    turn.tool_calls[1_099].id = ""

    with pytest.raises(InvalidRequest) as refused:
        VALIDATE(chat_pb2.ChatRequest(model="m", messages=[turn]))

    assert sorted(refused.value.violations) == [
        ("messages[0].tool_call_id", "a tool's message names the call that it answers, and no other does"),
        ("messages[0].tool_calls", "must contain no more than 128 item(s)"),
        ("messages[0].tool_calls", "only the model has tools called"),
        ("messages[0].tool_calls[1099].id", "must be at least 1 characters"),
    ]


def test_what_has_no_rules_is_let_be_where_it_has_very_many_values() -> None:
    values = struct_pb2.Struct()
    values.fields["a"].list_value.values.extend([struct_pb2.Value()] * 1_500)

    assert _violations(execution_pb2.ExecuteWorkflowRequest(workflow_id="x", input=values)) == ["workflow_id"]


def test_of_very_many_malformed_values_as_many_are_named_as_an_answer_has_room_for() -> None:
    few = embedding_pb2.EmbedRequest(model="m", inputs=[""] * 500)
    many = embedding_pb2.EmbedRequest(model="m", inputs=[""] * 2_000)

    assert _violations(few) == [f"inputs[{number}]" for number in range(500)]
    assert _violations(many) == [f"inputs[{number}]" for number in range(200)]
    many.model = "m" * 101
    many.inputs.extend([""] * 50)
    assert _violations(many) == ["model", "inputs", *(f"inputs[{number}]" for number in range(198))]


def test_a_list_that_is_far_too_long_is_refused_as_a_whole() -> None:
    messages = [chat_pb2.ChatMessage()] * 20_000

    assert _unreadable(chat_pb2.ChatRequest(messages=messages, stop=[""] * 9)) == [
        ("messages", "must have at most 1000 items"),
        ("stop", "must have at most 4 items"),
    ]
    calls = chat_pb2.ChatMessage(tool_calls=[chat_pb2.ToolCall()] * 20_000)
    assert _unreadable(chat_pb2.ChatRequest(messages=[calls])) == [
        ("messages[0].tool_calls", "must have at most 128 items")
    ]


def test_lists_without_a_rule_hold_no_more_together_than_any_request_needs() -> None:
    lists = struct_pb2.Struct()
    for name in "ab":
        lists.fields[name].list_value.values.extend([struct_pb2.Value()] * 25_000)

    assert _unreadable(tenant_config_pb2.UpdateTenantConfigRequest(extra_config=lists)) == [
        ("", "must have at most 50000 values in its lists")
    ]
    del lists.fields["b"].list_value.values[-10:]
    request = tenant_config_pb2.UpdateTenantConfigRequest(extra_config=lists)
    assert _read(request) == request
