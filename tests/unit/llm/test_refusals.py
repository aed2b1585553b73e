"""What endpoints say when they refuse, each in its own form, and what callers are told of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from server.kernel.errors import DomainError
from server.llm.anthropic import AnthropicChat, AnthropicEndpoint
from server.llm.endpoint import HttpEndpoint
from server.llm.http import PATIENCE, Refused, refusal
from server.llm.openai import OpenAIChat
from server.llm.port import (
    ChatModel,
    ModelContentFiltered,
    ModelContextExceeded,
    ModelCredentialRefused,
    ModelNotConfigured,
    ModelRateLimited,
    ModelRequestRejected,
)
from tests.fakes.openai_stub import OpenAIStub
from tests.unit.llm.chats import asking, heard_into

POOR = "Your credit balance is too low to access the Anthropic API."
GEMINI = "API key not valid. Please pass a valid API key."
VLLM = (
    "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 tokens and"
    " your request has 1297 input tokens (4000 > 4096 - 1297)."
)
CLAUDE = (
    "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease input length and try again"
)

_UNKNOWN = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "input": True}


async def _refused(status: int, content: bytes, **headers: str) -> Refused:
    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 7):
            yield content[start : start + 7]

    return await refusal(status, headers, parts())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": "context_length_exceeded", "message": "x", "type": "y"}}, ModelContextExceeded),
        (
            {"error": {"message": VLLM, "type": "BadRequestError", "param": "max_tokens", "code": 400}},
            ModelContextExceeded,
        ),
        ({"object": "error", "message": VLLM, "type": "BadRequestError", "code": 400}, ModelContextExceeded),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": CLAUDE}}, ModelContextExceeded),
        (
            [
                {
                    "error": {
                        "code": 400,
                        "message": "The input token count (9) exceeds the maximum number of tokens allowed",
                    }
                }
            ],
            ModelContextExceeded,
        ),
        ({"error": {"code": None, "type": "exceed_context_size_error"}}, ModelContextExceeded),
        ({"error": {"code": "content_filter", "message": "x", "innererror": {}}}, ModelContentFiltered),
        ([{"error": {"code": 400, "message": GEMINI, "status": "INVALID_ARGUMENT"}}], ModelCredentialRefused),
        (
            {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: na***ys."},
            ModelCredentialRefused,
        ),
        ({"error": {"code": "invalid_api_key", "message": "x"}}, ModelCredentialRefused),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": POOR}}, ModelRateLimited),
        ({"error": {"code": "model_decommissioned", "type": "invalid_request_error"}}, ModelNotConfigured),
        ({"error": {"code": "model_not_found", "type": "invalid_request_error"}}, ModelNotConfigured),
        (
            {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "code": "1500"},
            ModelNotConfigured,
        ),
        ({"error": {"code": "invalid_prompt", "type": "invalid_request_error"}}, ModelContentFiltered),
        ({"error": {"code": "data_inspection_failed", "type": "data_inspection_failed"}}, ModelContentFiltered),
        ([{"error": {"code": 400, "message": "Invalid JSON payload received."}}], ModelRequestRejected),
        ({"code": "Client specified an invalid argument", "error": "The model expects a text."}, ModelRequestRejected),
        ({"error": {"message": None, "code": None, "type": None}}, ModelRequestRejected),
        ({"detail": [{"loc": ["body", "messages"], "msg": "x"}]}, ModelRequestRejected),
        ([], ModelRequestRejected),
        ([7], ModelRequestRejected),
        ("no", ModelRequestRejected),
        (None, ModelRequestRejected),
    ],
)
async def test_what_a_refusal_is_about_is_found_in_whatever_form_it_has(body: Any, kind: type[DomainError]) -> None:
    refused = await _refused(400, json.dumps(body).encode())

    assert type(refused.told("model", "messages")) is kind


async def test_an_empty_account_is_not_waited_for() -> None:
    refused = await _refused(400, json.dumps({"error": {"message": POOR}}).encode())
    told = refused.told("model", "messages")

    assert isinstance(told, ModelRateLimited)
    assert told.retry_after is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"error": {"param": "temperature"}}, "temperature"),
        ({"type": "error", "error": {"message": "`temperature` is deprecated for this model."}}, "temperature"),
        ({"error": {"message": "No such tool: `temperature` is deprecated for this model."}}, ""),
        ({"error": {"message": "No such tool: Unsupported value: 'temperature'"}}, ""),
        ({"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model."}}, "max_tokens"),
        ({"error": {"message": "Unsupported value: 'temperature' does not support 0.5 here."}}, "temperature"),
        ({"message": {"detail": [_UNKNOWN]}}, "stream_options"),
        ({"detail": [_UNKNOWN]}, "stream_options"),
        ({"detail": [{"type": "missing", "loc": ["body", "model"]}]}, ""),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body"]}]}, ""),
        ({"detail": "no"}, ""),
        ({"detail": []}, ""),
        ({"detail": [7]}, ""),
        ({"message": {"detail": {}}}, ""),
    ],
)
async def test_which_field_is_unknown_is_found_where_it_is_said(body: Any, param: str) -> None:
    assert (await _refused(422, json.dumps(body).encode())).param == param


@pytest.mark.parametrize(
    "after", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 99 Jan 2035 00:00:00 GMT", "-"]
)
async def test_a_time_to_come_back_at_that_cannot_be_is_none(after: str) -> None:
    assert (await _refused(429, b"", **{"retry-after": after})).retry_after is None


@pytest.mark.parametrize("speaks", [OpenAIChat, AnthropicChat])
async def test_a_refusal_that_breaks_off_is_what_its_status_says(stub: OpenAIStub, speaks: Any) -> None:
    if speaks is OpenAIChat:
        endpoint: Any = HttpEndpoint(stub.base_url, "key", patience=PATIENCE, guarded=False)
    else:
        endpoint = AnthropicEndpoint(stub.base_url, "key")
    chat: ChatModel = speaks(endpoint)

    with pytest.raises(DomainError) as limited:
        await heard_into([], chat, asking("stub-cut-refusal-429"))
    with pytest.raises(DomainError) as unauthorized:
        await heard_into([], chat, asking("stub-cut-refusal-401"))
    await endpoint.close()

    assert type(unauthorized.value) is ModelCredentialRefused
    assert isinstance(limited.value, ModelRateLimited)
    assert limited.value.retry_after == 60
