"""What a model is sent where a call names a prompt: its text with the values in it, and the settings of its version."""

from __future__ import annotations

from typing import Any

from atrium.model.v1 import chat_pb2
from atrium.prompt.v1 import version_pb2 as versions
from tests.factories.prompts import NAME, make_template, make_version, set_label
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import NOT_FOR_EVER, kinds_of, stream_from

SETTINGS = {"model": "stub-fast-3", "temperature": 0.25, "max_tokens": 40, "stop": ["END", "!"], "seed": 7}

USER, ASSISTANT = chat_pb2.ChatMessage.ROLE_USER, chat_pb2.ChatMessage.ROLE_ASSISTANT


def _sent(stub: OpenAIStub) -> dict[str, Any]:
    """What was sent last, but how it is to be streamed."""
    return {name: value for name, value in stub.exchanges[-1].body.items() if not name.startswith("stream")}


async def _chat(world: World, person: Any, **fields: Any) -> None:
    await world.models.Chat(chat_pb2.ChatRequest(**fields), metadata=person.metadata, timeout=NOT_FOR_EVER)


async def test_a_text_is_sent_with_its_values_and_the_settings_of_the_version_that_the_label_stands_for(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    times = versions.PromptVariable(
        name="times", type=versions.PromptVariable.TYPE_INTEGER, default={"number_value": 2}
    )
    text = "Greet {{ name }} {{ times }} times."
    await make_version(gateway, ann, template_id, text, variables=[NAME, times], settings=SETTINGS)
    await set_label(gateway, ann, template_id, "production", "v1.0")
    await make_version(gateway, ann, template_id, "Another one.", settings={"temperature": 2})
    prompt = chat_pb2.Prompt(template_id=template_id, label="production", variables={"name": "Zoë {{ 1 }}"})

    await _chat(gateway, ann, prompt=prompt)

    assert _sent(stub) == {**SETTINGS, "messages": [{"role": "user", "content": "Greet Zoë {{ 1 }} 2 times."}]}


async def test_a_text_is_the_systems_where_the_call_has_messages_of_its_own(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    await make_version(gateway, ann, template_id, "Be kind to {{ name }}.", variables=[NAME])
    prompt = chat_pb2.Prompt(template_id=template_id, variables={"name": "Ann"})
    message = chat_pb2.ChatMessage(role=USER, content="Hello, {{ name }}.")

    await _chat(gateway, ann, model="stub-fast-3", prompt=prompt, messages=[message])

    assert _sent(stub)["messages"] == [
        {"role": "system", "content": "Be kind to Ann."},
        {"role": "user", "content": "Hello, {{ name }}."},
    ]


async def test_a_conversation_is_sent_turn_by_turn_and_the_calls_own_messages_follow(
    gateway: World, stub: OpenAIStub
) -> None:
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    turn = versions.PromptMessage
    turns = [
        turn(role=turn.ROLE_SYSTEM, content="You are {{ name }}."),
        turn(role=turn.ROLE_USER, content="Who are you?"),
        turn(role=turn.ROLE_ASSISTANT, content="I am {{ name }}."),
    ]
    request = versions.CreateVersionRequest(
        template_id=template_id, messages=turns, variables=[NAME], settings=versions.PromptSettings(**SETTINGS)
    )
    await gateway.prompts.CreateVersion(request, metadata=ann.metadata)
    prompt = chat_pb2.Prompt(template_id=template_id, version="v1.0", variables={"name": "Ada"})
    own = [
        chat_pb2.ChatMessage(role=USER, content="Really?"),
        chat_pb2.ChatMessage(role=ASSISTANT, content="Yes."),
        chat_pb2.ChatMessage(role=USER, content="Hm."),
    ]

    events = [event async for event in stream_from(gateway, ann, prompt=prompt, messages=own)]

    assert kinds_of(events)[-1] == "completed"
    assert _sent(stub) == {
        **SETTINGS,
        "messages": [
            {"role": "system", "content": "You are Ada."},
            {"role": "user", "content": "Who are you?"},
            {"role": "assistant", "content": "I am Ada."},
            {"role": "user", "content": "Really?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Hm."},
        ],
    }


async def test_what_the_call_says_itself_goes_before_what_the_version_says(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    await make_version(gateway, ann, template_id, "Hello.", settings=SETTINGS)
    own = {"model": "stub-no-usage", "temperature": 0.0, "max_tokens": 9, "stop": ["."], "seed": 0}

    await _chat(gateway, ann, prompt=chat_pb2.Prompt(template_id=template_id), **own)

    assert _sent(stub) == {**own, "messages": [{"role": "user", "content": "Hello."}]}
