"""Requests of the model service, good ones and bad ones."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.cases import FUTURE, ID, PAGE, PERIOD, Bad, Cases, ids, mask, odd

MODEL = {"name": "m", "provider": 1, "type": 1, "price": {"input_cost_per_1k": "0.0015", "output_cost_per_1k": "0"}}
EMBEDDER = {**MODEL, "type": 2, "dimensions": 256}
CHAT = {"messages": [{"role": 1, "content": "Be brief."}, {"role": 2, "content": "你好"}]}
CALL = {"id": "c", "name": "t", "arguments": "{}"}
CREDENTIAL = {"provider": 1, "name": "production", "secret": "sk-12345678"}
ROUTE = {"alias": "fast", "targets": [{"model": "m"}]}
SPEECH: Bad = [
    ({}, "messages"),
    ({"messages": [{"role": 2, "content": "x"}] * 1001}, "messages"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": 9, "content": "x"}]}, "messages[0].role"),
    ({"messages": [CHAT["messages"][0], {"role": 2}]}, "messages[1].content"),
    ({"messages": [{"role": 2, "content": "é" * 524_289}]}, "messages[0].content"),
    ({**CHAT, "model": "m" * 101}, "model"),
    ({**CHAT, "temperature": -0.1}, "temperature"),
    ({**CHAT, "temperature": 2.1}, "temperature"),
    ({**CHAT, "temperature": float("nan")}, "temperature"),
    ({**CHAT, "temperature": float("inf")}, "temperature"),
    ({**CHAT, "max_tokens": 0}, "max_tokens"),
    ({**CHAT, "stop": ["a"] * 5}, "stop"),
    ({**CHAT, "stop": ["a", ""]}, "stop[1]"),
    ({**CHAT, "messages": [{"role": 4, "content": "5"}]}, "messages[0].tool_call_id"),
    ({**CHAT, "messages": [{"role": 2, "content": "5", "tool_call_id": "c"}]}, "messages[0].tool_call_id"),
    ({**CHAT, "messages": [{"role": 2, "tool_calls": [CALL]}]}, "messages[0].tool_calls"),
    ({**CHAT, "messages": [{"role": 3, "tool_calls": [{**CALL, "id": ""}]}]}, "messages[0].tool_calls[0].id"),
    ({**CHAT, "tools": [{"name": "a b"}]}, "tools[0].name"),
    ({**CHAT, "tools": [{"name": "t"}] * 129}, "tools"),
    ({**CHAT, "tool_choice": {"mode": 9}}, "tool_choice.mode"),
    ({**CHAT, "tool_choice": {"mode": 2}}, "tool_choice"),
    ({**CHAT, "tools": [{"name": "t"}, {"name": "t"}]}, "tools"),
    ({**CHAT, "response_format": {"name": "a b"}}, "response_format.name"),
    ({**CHAT, "cache_ttl": Duration()}, "cache_ttl"),
    ({"prompt": {"template_id": "7"}}, "prompt.template_id"),
    ({"prompt": {"template_id": ID, "version": "v" * 51}}, "prompt.version"),
    ({"prompt": {"template_id": ID, "label": "l" * 51}}, "prompt.label"),
    ({"prompt": {"template_id": ID, "user_key": "k" * 256}}, "prompt.user_key"),
]
TALK: list[dict[str, Any]] = [
    CHAT,
    {**CHAT, "model": "gpt-4", "temperature": 0, "max_tokens": 1, "stop": ["a"] * 4, "seed": -1},
    {**CHAT, "model": ID, "temperature": 2},
    {"prompt": {"template_id": ID, "label": "production", "variables": {"name": "Ada"}}},
    {**CHAT, "tools": [{"name": "t", "parameters": {"type": "object"}}], "tool_choice": {"tool": "t"}},
    {
        **CHAT,
        "messages": [{"role": 3, "tool_calls": [CALL]}, {"role": 4, "content": "5", "tool_call_id": "c"}],
        "response_format": {"schema": {"type": "object"}, "strict": False},
        "cache_ttl": Duration(seconds=60),
    },
]

NEW_MODEL: tuple[list[dict[str, Any]], Bad] = (
    [MODEL, EMBEDDER, {**MODEL, "provider": 3, "base_url": "http://10.0.0.7:8000/v1", "max_tokens": 1}],
    [
        *odd(MODEL, name=["", " m", "a b", "m" * 101], provider=[0, 9], type=[0, 9], price=[None]),
        *odd(MODEL, description=["", "d" * 2001], max_tokens=[0], dimensions=[256], idempotency_key=["k" * 129]),
        *odd(MODEL, base_url=["", "10.0.0.7", "file:///etc/passwd", f"https://a/{'a' * 2048}"]),
        *odd(MODEL, upstream_name=["", " a", "a" * 201]),
        *odd(EMBEDDER, dimensions=[0, 4001, None]),
        ({**MODEL, "provider": 3}, "base_url"),
        *(
            ({**MODEL, "price": {**MODEL["price"], field: text}}, f"price.{field}")
            for field in ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
            for text in ("", "-1", "1e-3", ".5", "01", "0.0123456789", "1234567890", "NaN", "1\n")
        ),
    ],
)
COUNTED = ("requests_per_minute", "tokens_per_minute", "monthly_tokens", "parallel_calls")
CHANGED_MODEL = [
    *ids("id"),
    *odd({"id": ID}, etag=["e" * 65], description=["", "d" * 2001], max_tokens=[0], state=[0, 9]),
    *odd({"id": ID}, base_url=["", "ftp://a/b", "a b"], upstream_name=["", "a b", "a" * 201]),
    *odd({"id": ID}, replacement=["", "r" * 101]),
    ({"id": ID, "update_mask": mask("supports_streaming")}, "supports_streaming"),
]
ROUTED: Bad = [
    ({**ROUTE, "targets": [{"model": "m"}] * 21}, "targets"),
    ({**ROUTE, "targets": [{"model": ""}]}, "targets[0].model"),
    ({**ROUTE, "targets": [{"model": "m", "weight": 1001}]}, "targets[0].weight"),
    ({**ROUTE, "targets": [{"model": "m", "priority": -1}]}, "targets[0].priority"),
    ({**ROUTE, "fallbacks": {"outage": ["m"] * 11}}, "fallbacks.outage"),
    ({**ROUTE, "fallbacks": {"content_filter": [""]}}, "fallbacks.content_filter[0]"),
    ({**ROUTE, "retry": {"max_attempts": 6}}, "retry.max_attempts"),
    ({**ROUTE, "retry": {"backoff": Duration(seconds=6)}}, "retry.backoff"),
    ({**ROUTE, "cooldown": Duration(seconds=3601)}, "cooldown"),
    ({**ROUTE, "cache_ttl": Duration()}, "cache_ttl"),
]

MODEL_CASES: Cases = {
    "CreateCredentialRequest": (
        [CREDENTIAL, {**CREDENTIAL, "provider": 3, "base_url": "https://a.example/v1", "idempotency_key": "k"}],
        [
            *odd(CREDENTIAL, provider=[0, 9], name=["", " n", "n" * 101], base_url=["a b", "ftp://a/b"]),
            ({**CREDENTIAL, "provider": 3}, "base_url"),
            *odd(CREDENTIAL, secret=["", "short", "with space", "é" * 8, "s" * 1001], idempotency_key=["k" * 129]),
        ],
    ),
    "ListCredentialsRequest": ([{}], PAGE),
    "RotateCredentialRequest": (
        [{"id": ID, "secret": "sk-12345678"}],
        [
            *(({**case, "secret": "sk-12345678"}, field) for case, field in ids("id")),
            *odd({"id": ID, "secret": "sk-12345678"}, secret=["", "short"], etag=["e" * 65]),
        ],
    ),
    "UpdateModelRequest": (
        [{"id": ID}, {"id": ID, "state": 2, "etag": "1", "deprecate_time": FUTURE, "replacement": "m"}],
        [
            *CHANGED_MODEL,
            ({"id": ID, "update_mask": mask("name")}, "update_mask"),
        ],
    ),
    **dict.fromkeys(
        ("SetModelPriceRequest", "SetTenantModelPriceRequest"),
        (
            [
                {"model_id": ID, "price": MODEL["price"]},
                {"model_id": ID, "price": MODEL["price"], "effective_time": FUTURE},
            ],
            [
                *(({**case, "price": MODEL["price"]}, field) for case, field in ids("model_id")),
                ({"model_id": ID}, "price"),
                (
                    {"model_id": ID, "price": {"input_cost_per_1k": "-1", "output_cost_per_1k": "0"}},
                    "price.input_cost_per_1k",
                ),
                *odd({"model_id": ID, "price": MODEL["price"]}, idempotency_key=["k" * 129]),
            ],
        ),
    ),
    "UpdateTenantModelRequest": (
        [{"id": ID}, {"id": ID, "price": MODEL["price"], "update_mask": mask("price", "base_url")}],
        [
            *CHANGED_MODEL,
            ({"id": ID, "update_mask": mask("price")}, "price"),
            ({"id": ID, "update_mask": mask("name")}, "update_mask"),
        ],
    ),
    **{f"List{name}Request": ([{}], PAGE) for name in ("TenantModels", "Routes", "ModelLimits")},
    **{f"Get{name}Request": ([{"id": ID}], ids("id")) for name in ("TenantModel", "Route", "CallLog")},
    "SetModelLimitsRequest": (
        [{"user_id": ID}, {"api_key_id": ID, "monthly_cost_usd": "0.5", "parallel_calls": 0}],
        [
            ({}, "user_id"),
            ({"user_id": ID, "api_key_id": ID}, "user_id"),
            ({"user_id": "ada"}, "user_id"),
            ({"api_key_id": "ada"}, "api_key_id"),
            *odd({"user_id": ID}, etag=["e" * 65], monthly_cost_usd=["", "-1", "1e3"]),
            *odd({"user_id": ID}, **{name: [-1] for name in COUNTED}),
        ],
    ),
    "GetModelLimitsRequest": (
        [{}, {"user_id": ID}, {"api_key_id": ID}],
        [
            ({"user_id": ID, "api_key_id": ID}, "user_id"),
            ({"user_id": "ada"}, "user_id"),
            ({"api_key_id": "ada"}, "api_key_id"),
        ],
    ),
    "GetModelUsageRequest": (
        [{}, {"group_by": [1, 2, 3], "day_from": FUTURE, "day_until": FUTURE, "model_id": ID, "limit": 10_000}],
        [
            ({"group_by": [1, 1]}, "group_by"),
            ({"group_by": [0]}, "group_by[0]"),
            *odd({}, limit=[-1, 10_001], page_token=["t" * 513]),
            *odd({}, **{name: ["ada"] for name in ("model_id", "user_id", "api_key_id", "prompt_version_id")}),
            ({"day_from": Timestamp(seconds=-1)}, "day_from"),
            ({"day_until": Timestamp(seconds=10**12)}, "day_until"),
        ],
    ),
    "CreateRouteRequest": (
        [
            ROUTE,
            {
                **ROUTE,
                "targets": [{"model": "m", "weight": 1000}, {"model": "n", "priority": 1000}],
                "fallbacks": {"outage": ["a"], "context_length": ["a", "b"]},
                "retry": {"max_attempts": 5, "backoff": Duration(seconds=5)},
                "cooldown": Duration(),
                "cooldown_after": 100,
                "cache_ttl": Duration(seconds=1),
            },
        ],
        [
            *ROUTED,
            *odd(ROUTE, alias=["", "a b", "a" * 101], idempotency_key=["k" * 129], cooldown_after=[-1, 101]),
            ({**ROUTE, "targets": []}, "targets"),
        ],
    ),
    "UpdateRouteRequest": (
        [{"id": ID}, {"id": ID, "update_mask": mask("fallbacks", "retry", "cooldown", "cooldown_after", "cache_ttl")}],
        [
            *ids("id"),
            *(({**case, "id": ID}, field) for case, field in ROUTED),
            *odd({"id": ID}, alias=["", "a b"], etag=["e" * 65], cooldown_after=[0, 101]),
            ({"id": ID, "update_mask": mask("health")}, "update_mask"),
        ],
    ),
    **{
        f"Delete{name}Request": ([{"id": ID, "etag": "1"}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")])
        for name in ("Credential", "TenantModel", "Route", "ModelLimits")
    },
    "ListModelsRequest": (
        [{}, {"provider": 3, "type": 1, "state": 2}],
        [*PAGE, *odd({}, provider=[9], type=[9], state=[9])],
    ),
    "GetModelRequest": ([{"id": ID}], ids("id")),
    "CreateModelRequest": NEW_MODEL,
    "CreateTenantModelRequest": NEW_MODEL,
    "ChatRequest": (TALK, [*SPEECH, ({**CHAT, "idempotency_key": "k" * 129}, "idempotency_key")]),
    "StreamChatRequest": (
        [*TALK, {**CHAT, "resumable": True}, {"generation_id": ID, "after_seq": 7}],
        [*SPEECH, *odd(CHAT, generation_id=["7"], after_seq=[-1, 7])],
    ),
    "CancelGenerationRequest": ([{"generation_id": ID}], ids("generation_id")),
    "EmbedRequest": (
        [{"inputs": ["a"] * 2048}, {"model": ID, "inputs": ["a" * 65_536]}],
        [
            ({}, "inputs"),
            ({"inputs": ["a"] * 2049}, "inputs"),
            ({"inputs": ["a", ""]}, "inputs[1]"),
            ({"inputs": ["é" * 32_769]}, "inputs[0]"),
            ({"inputs": ["a"], "model": "m" * 101}, "model"),
            ({"inputs": ["a"], "cache_ttl": Duration()}, "cache_ttl"),
            ({"inputs": ["a"], "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "ListCallLogsRequest": (
        [{}, {"user_id": ID, "model_id": ID, "trace_id": "0af7651916cd43dd8448eb211c80319c", "status": 3}],
        [
            *PAGE,
            *PERIOD,
            *odd({}, user_id=["ada"], api_key_id=["ada"], model_id=["gpt-4"], workflow_execution_id=["7"]),
            *odd({}, trace_id=["0AF7651916CD43DD8448EB211C80319C", "7"]),
            ({"status": 9}, "status"),
        ],
    ),
}
