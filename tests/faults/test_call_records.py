"""What cannot come to an answer: each has an error of its own, and a record. What is wrong with answers is in
test_upstream.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.errors.v1 import error_reason_pb2
from atrium.model.v1 import chat_pb2, credential_pb2, model_pb2
from atrium.prompt.v1 import label_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompts
from atrium.prompt.v1 import template_pb2 as templates
from atrium.tenant.v1 import tenant_config_pb2
from server.llm.http import Patience
from server.llm.openai import connect
from tests.factories.prompts import make_template, make_version, set_label
from tests.factories.world import Person, Refusal, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, logs_of, stream_from

Code = grpc.StatusCode
TOOL = chat_pb2.Tool(name="look_up")
BAD_TEMPLATES = {
    "loops": ("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}", "more than 100000 steps"),
    "escapes": ("{{ ''['__class__'] }}", "__class__"),
    "produces 100 MB": ("{% for i in range(5000) %}" + "x" * 30_000 + "{% endfor %}", "longer"),
}
"""Each with what its error says."""


async def _is_on_record(world: World, person: Person, refusal: Refusal) -> None:
    """As the newest call, for the reason that its caller was told."""
    *_, log = await logs_of(world, person)
    assert error_reason_pb2.ErrorReason.Name(log.error_reason) == f"ERROR_REASON_{refusal.reason}"
    assert log.status == log.STATUS_ERROR


@pytest.mark.parametrize(
    ("reason", "model", "fields", "recorded"),
    [
        ("LIMIT_REACHED", "stub-fast-3", {}, False),
        ("MODEL_NOT_FOUND", "none", {}, False),
        ("MODEL_KIND_MISMATCH", "stub-embed-8", {}, False),
        ("MODEL_DISABLED", "stub-fast-3", {}, False),
        ("MODEL_WITHOUT_TOOLS", "stub-fast-3", {"tools": [TOOL]}, False),
        ("PROMPT_RENDER_FAILED", "stub-fast-3", {"prompt": True}, True),
        ("MODEL_NOT_CONFIGURED", "gpt-4", {}, True),
    ],
)
async def test_a_refused_call_is_on_record_where_its_model_was_to_be_asked(
    gateway: World, stub: OpenAIStub, reason: str, model: str, fields: dict[str, Any], recorded: bool
) -> None:
    ann, platform = await gateway.tenant(), await gateway.platform()
    if reason == "LIMIT_REACHED":
        none_at_all = tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=ann.tenant_id, requests_per_minute=0)
        await gateway.tenants.UpdateTenantConfig(none_at_all, metadata=platform.metadata)
    if reason == "MODEL_DISABLED":
        found = await gateway.models.ListModels(model_pb2.ListModelsRequest(), metadata=platform.metadata)
        (model_id,) = [each.id for each in found.models if each.name == model]
        disabled = model_pb2.UpdateModelRequest(id=model_id, state=model_pb2.Model.STATE_DISABLED)
        await gateway.models.UpdateModel(disabled, metadata=platform.metadata)
    if "prompt" in fields:
        template_id = await make_template(gateway, ann)
        await make_version(gateway, ann, template_id, BAD_TEMPLATES["escapes"][0])
        fields = {"prompt": {"template_id": template_id}}

    refusal = await refused(chat_with(gateway, ann, model, **fields))

    assert refusal.reason == reason
    assert len(await logs_of(gateway, ann)) == int(recorded)
    assert not stub.exchanges
    if recorded:
        await _is_on_record(gateway, ann, refusal)


@pytest.mark.parametrize("what", BAD_TEMPLATES)
async def test_a_prompt_that_cannot_be_rendered(gateway: World, stub: OpenAIStub, what: str) -> None:
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    text, problem = BAD_TEMPLATES[what]
    await make_version(gateway, ann, template_id, text)
    asked = {"prompt": {"template_id": template_id}}

    for call in (chat_with(gateway, ann, "stub-fast-3", **asked), stream_from(gateway, ann, "stub-fast-3", **asked)):
        refusal = await refused(call)

        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PROMPT_RENDER_FAILED")
        assert problem in refusal.detail(error_details_pb2.BadRequest).field_violations[0].description
        await _is_on_record(gateway, ann, refusal)
    assert not stub.exchanges


async def test_a_prompt_that_includes_itself_since_it_was_renamed(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    outer, inner = [await make_template(gateway, ann, name) for name in ("outer", "inner")]
    await make_version(gateway, ann, inner, "nothing")
    version = await make_version(gateway, ann, outer, "{% include 'inner' %}")
    for template_id, name in ((inner, "former"), (outer, "inner")):
        request = templates.UpdateTemplateRequest(id=template_id, name=name)
        await gateway.prompts.UpdateTemplate(request, metadata=ann.metadata)

    refusal = await refused(chat_with(gateway, ann, "stub-fast-3", prompt={"template_id": outer}))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PROMPT_INCLUDE_CYCLE")
    await _is_on_record(gateway, ann, refusal)
    assert [log.prompt_version_id for log in await logs_of(gateway, ann)] == [version.id]
    assert not stub.exchanges


KIND = version_pb2.PromptVariable
NAME = KIND(name="name", type=KIND.TYPE_STRING, required=True)
LEFT_OUT = KIND(name="name", type=KIND.TYPE_STRING)
FAILING_PROMPTS: dict[str, tuple[str, version_pb2.PromptVariable, dict[str, Any], str]] = {
    "a value missing": ("Hello {{ name }}", NAME, {}, "PROMPT_VARIABLES_INVALID"),
    "a value of another type": ("Hello {{ name }}", NAME, {"name": 7}, "PROMPT_VARIABLES_INVALID"),
    "a name undefined": ("Hello {{ name }}", LEFT_OUT, {}, "PROMPT_RENDER_FAILED"),
    "a division by zero": ("{{ 1 / 0 }}", LEFT_OUT, {}, "PROMPT_RENDER_FAILED"),
    "a budget exceeded": (BAD_TEMPLATES["loops"][0], LEFT_OUT, {}, "PROMPT_RENDER_FAILED"),
    "an include gone": ("{% include 'part' %}", LEFT_OUT, {}, "PROMPT_INCLUDE_UNKNOWN"),
}
"""Each with its text, its variable, what is given for it, and why it fails."""


@pytest.mark.parametrize("what", FAILING_PROMPTS)
async def test_a_prompt_that_fails_is_counted_to_its_version(gateway: World, what: str) -> None:
    ann = await gateway.tenant()
    part, template_id = [await make_template(gateway, ann, name) for name in ("part", "whole")]
    await make_version(gateway, ann, part, "part")
    text, variable, values, reason = FAILING_PROMPTS[what]
    version = await make_version(gateway, ann, template_id, text, variables=[variable])
    await make_version(gateway, ann, template_id, "Another one, which nobody uses.")
    await gateway.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=part), metadata=ann.metadata)
    asked = {"prompt": {"template_id": template_id, "version": "v1.0", "variables": values}}

    for call in (chat_with(gateway, ann, "stub-fast-3", **asked), stream_from(gateway, ann, "stub-fast-3", **asked)):
        assert (await refused(call)).reason == reason

    request = prompts.GetTemplateStatsRequest(template_id=template_id)
    (used,) = (await gateway.prompts.GetTemplateStats(request, metadata=ann.metadata)).versions
    assert [log.prompt_version_id for log in await logs_of(gateway, ann)] == [version.id] * 2
    assert (used.version_id, used.calls, used.errors) == (version.id, 2, 2)


async def test_a_prompt_that_fails_is_on_record_with_the_model_that_it_names_itself(gateway: World) -> None:
    ann = await gateway.tenant()
    await chat_with(gateway, ann, "stub-fast-3")
    template_id = await make_template(gateway, ann)
    settings = {"model": "stub-fast-3"}
    await make_version(gateway, ann, template_id, "Hello {{ name }}", variables=[NAME], settings=settings)
    prompt = chat_pb2.Prompt(template_id=template_id)

    for default_model in (None, "stub-tools-2"):
        if default_model is not None:
            default = tenant_config_pb2.UpdateTenantConfigRequest(default_model=default_model)
            await gateway.tenants.UpdateTenantConfig(default, metadata=ann.metadata)
        for call in (
            gateway.models.Chat(chat_pb2.ChatRequest(prompt=prompt), metadata=ann.metadata),
            stream_from(gateway, ann, prompt=prompt),
        ):
            refusal = await refused(call)
            assert (refusal.reason, refusal.fields) == ("PROMPT_VARIABLES_INVALID", ["variables.name"])
            await _is_on_record(gateway, ann, refusal)

    made, *failed = await logs_of(gateway, ann)
    assert [log.model_id for log in failed] == [made.model_id] * 4


async def test_a_label_whose_prompt_is_deleted_and_one_that_is_taken_away(gateway: World, stub: OpenAIStub) -> None:
    """A version goes with its template only, and its labels with it."""
    ann = await gateway.tenant()
    template_id = await make_template(gateway, ann)
    await make_version(gateway, ann, template_id, "Hello")
    await set_label(gateway, ann, template_id, "live", "v1.0")
    asked = {"prompt": {"template_id": template_id, "label": "live"}}
    assert (await chat_with(gateway, ann, "stub-fast-3", **asked)).message.content

    remove = label_pb2.RemoveLabelRequest(template_id=template_id, label="live")
    await gateway.prompts.RemoveLabel(remove, metadata=ann.metadata)
    unlabelled = await refused(chat_with(gateway, ann, "stub-fast-3", **asked))
    await _is_on_record(gateway, ann, unlabelled)
    await gateway.prompts.DeleteTemplate(templates.DeleteTemplateRequest(id=template_id), metadata=ann.metadata)
    deleted = await refused(chat_with(gateway, ann, "stub-fast-3", **asked))
    await _is_on_record(gateway, ann, deleted)

    assert [refusal.reason for refusal in (unlabelled, deleted)] == ["LABEL_NOT_FOUND", "TEMPLATE_DELETED"]
    assert len(stub.exchanges) == 1


async def test_a_tenants_credential_that_its_provider_refuses(gateway: World, stub: OpenAIStub) -> None:
    ann = await gateway.tenant()
    request = credential_pb2.CreateCredentialRequest(
        provider=model_pb2.Model.PROVIDER_CUSTOM, name="wrong", base_url=stub.base_url, secret="sk-wrong-1234"
    )
    await gateway.models.CreateCredential(request, metadata=ann.metadata)

    refusal = await refused(chat_with(gateway, ann, "stub-401"))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_CREDENTIAL_REFUSED")
    await _is_on_record(gateway, ann, refusal)
    assert (await stub.arrival()).headers["authorization"] == "Bearer sk-wrong-1234"


async def test_a_provider_that_never_ends(gateway: World) -> None:
    ann = await gateway.tenant()

    refusal = await refused(chat_with(gateway, ann, "stub-endless-9", max_tokens=20))

    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_ANSWER_TOO_LONG")
    await _is_on_record(gateway, ann, refusal)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers whose providers may say nothing for a short time only."""
    monkeypatch.setattr("server.llm.registry.connect", partial(connect, patience=Patience(streamed=0.2)))


@pytest.mark.parametrize("model", ["stub-silent", "stub-stall-2"])
async def test_a_provider_that_never_answers_and_one_that_stops_answering(
    impatient: None, gateway: World, model: str
) -> None:
    ann = await gateway.tenant()

    refusal = await refused(chat_with(gateway, ann, model))

    assert (refusal.code, refusal.reason) == (Code.UNAVAILABLE, "MODEL_UNAVAILABLE")
    await _is_on_record(gateway, ann, refusal)


async def test_a_provider_that_does_not_say_what_was_used(gateway: World) -> None:
    ann = await gateway.tenant()

    answer = await chat_with(gateway, ann, "stub-no-usage")

    (log,) = await logs_of(gateway, ann)
    assert answer.message.content == "t0 t1 t2 "
    assert (log.status, log.error_reason) == (log.STATUS_SUCCESS, 0)
    assert (log.usage.prompt_tokens, log.usage.completion_tokens) == (6, 3)
