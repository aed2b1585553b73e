"""What each request accepts and what it refuses, naming the field."""

from __future__ import annotations

import importlib
from typing import Any

import protos
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from server.kernel.errors import InvalidRequest
from server.rpc.steps.validate import Validate
from tests.contract.contract import CONTRACT

ID = "0190a0a0-0000-7000-8000-000000000000"
OTHER = "0190a0a0-0000-7000-8000-000000000001"
FUTURE = Timestamp(seconds=4_102_444_800)
MODEL = {"name": "m", "provider": 1, "type": 1, "price": {"input_cost_per_1k": "0.0015", "output_cost_per_1k": "0"}}
EMBEDDER = {**MODEL, "type": 2, "dimensions": 256}
TENANT = {
    "slug": "acme",
    "name": "Acme 公司",
    "administrator": {"username": "ada", "email": "ada@acme.test", "password": "correct horse"},
}
CHAT = {"messages": [{"role": 1, "content": "Be brief."}, {"role": 2, "content": "你好"}]}
CALL = {"id": "c", "name": "t", "arguments": "{}"}
USER = {"username": "ada", "email": "ada@acme.test"}
KEY = {"name": "ci", "scopes": ["users:read"]}
RETAINED = ("soft_delete", "audit", "call_log", "prompt")
CREDENTIAL = {"provider": 1, "name": "production", "secret": "sk-12345678"}
ROLE = {"name": "Reviewer", "code": "reviewer"}
ROUTE = {"alias": "fast", "targets": [{"model": "m"}]}
PAGE: list[tuple[dict[str, Any], str]] = [({"page_size": -1}, "page_size"), ({"page_token": "x" * 513}, "page_token")]
PERIOD: list[tuple[dict[str, Any], str]] = [
    ({"create_time_from": Timestamp(seconds=-1)}, "create_time_from"),
    ({"create_time_until": Timestamp(seconds=10**12)}, "create_time_until"),
]
SPEECH: list[tuple[dict[str, Any], str]] = [
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


def ids(*fields: str) -> list[tuple[dict[str, Any], str]]:
    """Each of the ids missing, and malformed."""
    whole = dict.fromkeys(fields, ID)
    return [({**whole, field: text}, field) for field in fields for text in ("", "7", ID[:-1], f"{ID} ", f"{{{ID}}}")]


def odd(good: dict[str, Any], **fields: list[Any]) -> list[tuple[dict[str, Any], str]]:
    """The good request with one field at a time set to each of its odd values."""
    return [({**good, field: value}, field) for field, values in fields.items() for value in values]


def mask(*paths: str) -> dict[str, list[str]]:
    return {"paths": list(paths)}


NEW_MODEL: tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]] = (
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
ROUTED: list[tuple[dict[str, Any], str]] = [
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

TEXT = {"template_id": ID, "text": "Hello {{ name }}"}
VARIABLE = {"name": "name", "type": 1}
DEPLOYMENT = {"template_id": ID, "label": "production", "targets": [{"version": "v1.0"}]}
RENDERING: list[tuple[dict[str, Any], str]] = [
    *odd({"template_id": ID}, version=["v" * 51], label=["l" * 51], user_key=["k" * 256]),
]

CASES: dict[str, tuple[list[dict[str, Any]], list[tuple[dict[str, Any], str]]]] = {
    "CreateTenantRequest": (
        [
            TENANT,
            {**TENANT, "slug": "a" * 63, "tier": 3, "contact_email": "a@b.test", "contact_phone": "+86 10"},
        ],
        [
            *odd(TENANT, slug=["", "-a", "a-", "A", "a_b", "a" * 64, "www", "admin", "é"]),
            *odd(TENANT, name=["", " ", " a", "a ", "a\nb", "n" * 256], tier=[9], administrator=[None]),
            *odd(TENANT, contact_email=["", "acme", "a@", "@b.test", f"{'a' * 250}@b.test"]),
            *odd(TENANT, contact_phone=["", "1" * 51], contact_person=["p" * 101], industry=["i" * 101]),
            *odd(TENANT, company_size=["c" * 51], country=["c" * 101], idempotency_key=["k" * 129]),
            *(
                ({**TENANT, "administrator": {**TENANT["administrator"], field: value}}, f"administrator.{field}")
                for field, value in (("username", ""), ("email", "ada"), ("password", "1234567"))
            ),
        ],
    ),
    "GetTenantRequest": ([{}, {"id": ID, "deleted": 2}], odd({}, id=["acme"], deleted=[9])),
    "ListTenantsRequest": (
        [{}, {"page_size": 5000, "state": 1, "create_time_from": FUTURE}],
        [*PAGE, *PERIOD, *odd({}, state=[9], deleted=[9])],
    ),
    "UpdateTenantRequest": (
        [{}, {"id": ID, "name": "n", "tier": 2}, {"update_mask": mask("industry", "name"), "name": "n"}],
        [
            ({"id": "acme"}, "id"),
            ({"update_mask": mask("slug")}, "update_mask"),
            ({"update_mask": mask("id")}, "update_mask"),
            ({"update_mask": mask("*")}, "update_mask"),
            ({"update_mask": mask("country", "name")}, "name"),
            ({"update_mask": mask("tier")}, "tier"),
            *odd({}, etag=["e" * 65], name=["", " n", "n" * 256], tier=[0, 9], contact_email=["", "acme"]),
            *odd({}, contact_phone=["", "1" * 51], contact_person=["", "p" * 101], industry=["", "i" * 101]),
            *odd({}, company_size=["", "c" * 51], country=["", "c" * 101]),
            *odd({}, trial_end_time=[Timestamp(seconds=-1)], subscription_end_time=[Timestamp(seconds=10**12)]),
            *odd({}, max_users=[-1], max_workflows=[-1], max_knowledge_bases=[-1]),
            *odd(
                {},
                quota_raises=[
                    [{"resource": "users", "limit": 9}],
                    [{"resource": "users", "limit": -1, "expire_time": FUTURE}],
                    [{"resource": "tenants", "limit": 9, "expire_time": FUTURE}],
                    [{"resource": "users", "limit": 9, "expire_time": FUTURE}] * 2,
                ],
            ),
        ],
    ),
    "GetTenantConfigRequest": ([{}, {"tenant_id": ID}], [({"tenant_id": "acme"}, "tenant_id")]),
    "UpdateTenantConfigRequest": (
        [
            {},
            {"default_model": "smollm2-135m", "temperature": 0, "max_tokens_per_request": 1, "extra_config": {"a": []}},
            {"update_mask": mask("default_model", "extra_config")},
            {"require_verified_email": False, "update_mask": mask("require_verified_email")},
        ],
        [
            ({"tenant_id": "acme"}, "tenant_id"),
            ({"update_mask": mask("tenant_id")}, "update_mask"),
            ({"update_mask": mask("temperature")}, "temperature"),
            ({"update_mask": mask("max_tokens_per_request")}, "max_tokens_per_request"),
            ({"update_mask": mask("require_verified_email")}, "require_verified_email"),
            *odd({}, etag=["e" * 65], default_model=["", " ", "m" * 101], default_embedding_model=["", "a b"]),
            *odd({}, max_tokens_per_request=[0, -1, 1_000_001], temperature=[-0.1, 2.1, float("nan")]),
            ({"extra_config": {str(number): None for number in range(101)}}, "extra_config"),
            *odd({}, soft_delete_retention_days=[-1, 3651], audit_retention_days=[0, 3651]),
            *odd({}, call_log_retention_days=[0, 3651], monthly_cost_quota_usd=["", "-1", "1e3"]),
            *odd({}, **{name: [-1] for name in (*COUNTED[:2], "monthly_token_quota", "max_parallel_calls")}),
            *(({"update_mask": mask(f"{name}_retention_days")}, f"{name}_retention_days") for name in RETAINED),
            ({"update_mask": mask("store_prompts")}, "store_prompts"),
            *odd({}, prompt_retention_days=[0, 3651]),
        ],
    ),
    "LoginRequest": (
        [{"tenant": "acme", "login": "ada", "password": "x"}],
        odd(
            {"tenant": "acme", "login": "ada", "password": "x"},
            tenant=["", "a" * 64],
            login=["", "a" * 256],
            password=["", "p" * 129],
        ),
    ),
    "RefreshTokenRequest": ([{"refresh_token": "t"}], odd({}, refresh_token=["", "t" * 513])),
    "LogoutRequest": ([{}], []),
    "WhoAmIRequest": ([{}], []),
    "GetJwksRequest": ([{}], []),
    "ChangePasswordRequest": (
        [{"current_password": "x", "new_password": "8 chars!"}, {"current_password": "x", "new_password": "密" * 8}],
        odd(
            {"current_password": "x", "new_password": "8 chars!"},
            current_password=["", "p" * 129],
            new_password=["", "7 chars", "p" * 129],
        ),
    ),
    "CreateUserRequest": (
        [
            USER,
            {**USER, "username": "张三", "password": "8 chars!", "full_name": "张三", "locale": "zh-Hans-CN"},
            {**USER, "avatar_url": "https://cdn.acme.test/a.png", "phone": "1", "timezone": "America/Port-au-Prince"},
        ],
        [
            *odd(USER, username=["", "ada lovelace", "a@b.test", ".a", "u" * 101, "a\u200b"]),
            *odd(USER, email=["", "ada", "ada@", "a@b@c.test", f"{'a' * 250}@b.test"]),
            *odd(USER, password=["", "7 chars", "p" * 129], full_name=["", "f" * 256], phone=["", "1" * 51]),
            *odd(USER, avatar_url=["", "javascript:alert(1)", "/a.png", "https://a b", f"https://a/{'a' * 2048}"]),
            *odd(USER, locale=["", "中文", "zh_CN", "zh-CN-a-b-c"], timezone=["", "../etc", "a b", "z" * 51]),
            *odd(USER, kind=[9], idempotency_key=["k" * 129]),
            ({**USER, "kind": 2, "password": "8 chars!"}, "password"),
        ],
    ),
    "GetUserRequest": (
        [{"id": ID}, {"id": ID.upper(), "deleted": 3}],
        [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")],
    ),
    "ListUsersRequest": (
        [{}, {"page_size": 1000, "state": 3, "email_verified": False, "last_login_time_until": FUTURE}],
        [
            *PAGE,
            *odd({}, state=[9], deleted=[9]),
            ({"last_login_time_from": Timestamp(seconds=-1)}, "last_login_time_from"),
            ({"last_login_time_until": Timestamp(seconds=10**12)}, "last_login_time_until"),
        ],
    ),
    "UpdateUserRequest": (
        [{"id": ID}, {"id": ID, "state": 2, "etag": "1"}, {"id": ID, "update_mask": mask("full_name", "phone")}],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("email_verified")}, "update_mask"),
            *(
                ({"id": ID, "update_mask": mask("phone", field)}, field)
                for field in ("username", "email", "state", "locale", "timezone")
            ),
            *odd({"id": ID}, etag=["e" * 65], state=[0, 3, 9], username=["", "a b", "u" * 101], email=["", "ada"]),
            *odd({"id": ID}, full_name=["", "f" * 256], avatar_url=["", "ftp://a/b"], phone=["", "1" * 51]),
            *odd({"id": ID}, locale=["", "zh_CN"], timezone=["", "a b"]),
        ],
    ),
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
    "SetModelPriceRequest": (
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
    "CreateRoleRequest": (
        [ROLE, {**ROLE, "description": "d", "default": True, "priority": 1000}],
        [
            *odd(ROLE, name=["", " n", "n" * 101], code=["", "A", "1a", "a-b", "c" * 101]),
            *odd(ROLE, description=["", "d" * 2001], priority=[-1, 1001], idempotency_key=["k" * 129]),
        ],
    ),
    "GetRoleRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListRolesRequest": ([{}, {"user_id": ID}], [*PAGE, *odd({}, user_id=["ada"], deleted=[9])]),
    **{
        f"{name}Request": ([{"id": ID}], ids("id"))
        for name in (
            *("RestoreUser", "PurgeUser", "LockUser", "UnlockUser", "RestoreRole", "PurgeRole"),
            *("SuspendTenant", "ActivateTenant", "RestoreTenant", "PurgeTenant", "RevokeSession", "RevokeApiKey"),
        )
    },
    **{
        f"Delete{name}Request": ([{"id": ID, "etag": "1"}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")])
        for name in ("User", "Role", "Tenant", "Credential", "TenantModel", "Route", "ModelLimits")
    },
    **{
        f"List{name}Request": ([{}, {"user_id": ID}], [*PAGE, *odd({}, user_id=["ada"])])
        for name in ("Sessions", "ApiKeys")
    },
    "GetUsageRequest": ([{}, {"tenant_id": ID}], odd({}, tenant_id=["acme"])),
    "ExportTenantRequest": (
        [{}, {"tenant_id": ID, "after_cursor": "x"}],
        odd({}, tenant_id=["acme"], after_cursor=["x" * 4097]),
    ),
    "CreateApiKeyRequest": (
        [KEY, {**KEY, "user_id": ID, "allowed_models": ["gpt-4"], "expire_time": FUTURE, "idempotency_key": "k"}],
        [
            *odd(KEY, name=["", " n", "n" * 101], user_id=["ada"], scopes=[[], ["users:read"] * 2]),
            ({**KEY, "scopes": ["users:read", "Users"]}, "scopes[1]"),
            ({**KEY, "scopes": [f"a:{'b' * n}" for n in range(1, 102)]}, "scopes"),
            ({**KEY, "allowed_models": ["a", ""]}, "allowed_models[1]"),
            *odd(KEY, allowed_models=[["a", "a"]], expire_time=[Timestamp(seconds=1)], idempotency_key=["k" * 129]),
        ],
    ),
    "RotateApiKeyRequest": (
        [{"id": ID}, {"id": ID, "grace": Duration(seconds=3600)}],
        [
            *ids("id"),
            *odd({"id": ID}, grace=[Duration(seconds=-1), Duration(seconds=10**7)], idempotency_key=["k" * 129]),
        ],
    ),
    "UpdateRoleRequest": (
        [{"id": ID}, {"id": ID, "priority": 0, "default": False}, {"id": ID, "update_mask": mask("description")}],
        [
            *ids("id"),
            ({"id": ID, "update_mask": mask("code")}, "update_mask"),
            *(({"id": ID, "update_mask": mask(field)}, field) for field in ("name", "default", "priority")),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 101], description=["", "d" * 2001], priority=[-1, 1001]),
        ],
    ),
    "ListPermissionsRequest": ([{}], []),
    "SetRolePermissionsRequest": (
        [
            {"role_id": ID},
            {"role_id": ID, "permissions": [{"permission": p, "effect": 1} for p in ("users:read", "users:manage")]},
        ],
        [
            *ids("role_id"),
            ({"role_id": ID, "etag": "e" * 65}, "etag"),
            ({"role_id": ID, "permissions": [{"permission": "users:read", "effect": 1}] * 2}, "permissions"),
            ({"role_id": ID, "permissions": [{"permission": "users:read"}]}, "permissions[0].effect"),
            ({"role_id": ID, "permissions": [{"permission": "Users", "effect": 2}]}, "permissions[0].permission"),
            (
                {
                    "role_id": ID,
                    "permissions": [{"permission": f"{a}:{'b' * n}", "effect": 1} for a in "xyz" for n in range(1, 68)],
                },
                "permissions",
            ),
        ],
    ),
    "AssignRoleRequest": (
        [{"user_id": ID, "role_id": OTHER}, {"user_id": ID, "role_id": OTHER, "expire_time": FUTURE}],
        [
            *ids("user_id", "role_id"),
            ({"user_id": ID, "role_id": ID, "expire_time": Timestamp(seconds=1)}, "expire_time"),
            ({"user_id": ID, "role_id": ID, "expire_time": Timestamp(seconds=10**12)}, "expire_time"),
        ],
    ),
    "UnassignRoleRequest": ([{"user_id": ID, "role_id": OTHER}], ids("user_id", "role_id")),
    "CheckPermissionRequest": (
        [{"permissions": ["users:read"]}, {"user_id": ID, "permissions": ["users:read", "users:manage"]}],
        [
            ({}, "permissions"),
            ({"permissions": ["users:read"] * 2}, "permissions"),
            ({"permissions": [f"a:{'b' * n}" for n in range(1, 102)]}, "permissions"),
            ({"permissions": ["users:read", "users"]}, "permissions[1]"),
            ({"permissions": ["users:read"], "user_id": "ada"}, "user_id"),
        ],
    ),
    "RequestPasswordResetRequest": (
        [{"tenant": "acme", "login": "ada"}],
        odd({"tenant": "acme", "login": "ada"}, tenant=["", "a" * 64], login=["", "a" * 256]),
    ),
    "ResetPasswordRequest": (
        [{"token": "t", "new_password": "8 chars!"}],
        odd(
            {"token": "t", "new_password": "8 chars!"},
            token=["", "t" * 513],
            new_password=["", "7 chars", "p" * 129],
        ),
    ),
    "RequestEmailVerificationRequest": ([{}], []),
    "VerifyEmailRequest": ([{"token": "t"}], odd({}, token=["", "t" * 513])),
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
        [*SPEECH, *odd(CHAT, generation_id=["7"], after_seq=[-1])],
    ),
    "CreateTemplateRequest": (
        [{"name": "Greeting 你好"}, {"name": "g", "description": "d", "category": "c", "visibility": 3}],
        [
            *odd({}, name=["", " ", "a ", "a\nb", "n" * 256]),
            *odd({"name": "n"}, description=["", "d" * 2001], category=["", " c", "c" * 101], visibility=[4]),
            ({"name": "n", "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetTemplateRequest": ([{"id": ID}, {"id": ID, "deleted": 2}], [*ids("id"), ({"id": ID, "deleted": 9}, "deleted")]),
    "ListTemplatesRequest": (
        [{}, {"visibility": 1, "category": "c", "owner_user_id": ID}, {"all_tenants": True, "category": "c"}],
        [
            *PAGE,
            *odd({}, visibility=[9], category=["c" * 101], owner_user_id=["ada"], deleted=[9]),
            ({"all_tenants": True, "visibility": 1}, "all_tenants"),
        ],
    ),
    "UpdateTemplateRequest": (
        [{"id": ID}, {"id": ID, "name": "n", "visibility": 2}, {"id": ID, "update_mask": mask("description")}],
        [
            *ids("id"),
            *(({"id": ID, "update_mask": mask(field)}, field) for field in ("name", "visibility")),
            ({"id": ID, "update_mask": mask("owner_user_id")}, "update_mask"),
            *odd({"id": ID}, etag=["e" * 65], name=["", "n" * 256], description=[""], category=["c" * 101]),
            *odd({"id": ID}, visibility=[0, 9]),
        ],
    ),
    "DeleteTemplateRequest": ([{"id": ID}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]),
    "RestoreTemplateRequest": ([{"id": ID}], ids("id")),
    "PurgeTemplateRequest": ([{"id": ID}], ids("id")),
    "CreateVersionRequest": (
        [
            TEXT,
            {
                **TEXT,
                "version": "v2.10",
                "variables": [VARIABLE, {**VARIABLE, "name": "_b", "default": {"number_value": 7}}],
            },
            {"template_id": ID, "messages": [{"role": 1, "content": "Be {{ how }}."}, {"role": 2}]},
            {**TEXT, "settings": {"model": "m", "temperature": 0, "max_tokens": 1, "stop": ["a"], "seed": -1}},
        ],
        [
            *((({**TEXT, "template_id": text}), "template_id") for text in ("", "7")),
            *odd(TEXT, version=["1.0", "v1", "v01.0", "v1.123456"], changelog=["c" * 2001], text=["", "t" * 131_073]),
            ({"template_id": ID}, "text"),
            ({**TEXT, "messages": [{"role": 1, "content": "x"}]}, "text"),
            ({"template_id": ID, "messages": [{"role": 1}] * 65}, "messages"),
            ({"template_id": ID, "messages": [{}]}, "messages[0].role"),
            ({"template_id": ID, "messages": [{"role": 1, "content": "c" * 65_537}]}, "messages[0].content"),
            ({**TEXT, "variables": [VARIABLE] * 101}, "variables"),
            ({**TEXT, "variables": [{**VARIABLE, "name": "a b"}]}, "variables[0].name"),
            ({**TEXT, "variables": [{"name": "a"}]}, "variables[0].type"),
            ({**TEXT, "variables": [{**VARIABLE, "description": "d" * 1001}]}, "variables[0].description"),
            ({**TEXT, "settings": {"temperature": 3}}, "settings.temperature"),
            ({**TEXT, "settings": {"max_tokens": 0}}, "settings.max_tokens"),
            ({**TEXT, "settings": {"stop": ["a"] * 5}}, "settings.stop"),
            ({**TEXT, "settings": {"model": "m" * 101}}, "settings.model"),
            ({**TEXT, "idempotency_key": "k" * 129}, "idempotency_key"),
        ],
    ),
    "GetVersionRequest": (
        [{"template_id": ID}, {"template_id": ID, "version": "v1.0"}],
        [*ids("template_id"), ({"template_id": ID, "version": "v" * 51}, "version")],
    ),
    "ListVersionsRequest": (
        [{"template_id": ID}],
        [*ids("template_id"), *odd({"template_id": ID}, page_size=[-1], page_token=["x" * 513])],
    ),
    "DiffVersionsRequest": (
        [{"template_id": ID, "from_version": "v1.0", "to_version": "v1.1"}],
        [
            *(
                ({"template_id": text, "from_version": "v1.0", "to_version": "v1.1"}, "template_id")
                for text in ("", "7")
            ),
            *odd(
                {"template_id": ID, "from_version": "v1.0", "to_version": "v1.1"},
                from_version=["", "v" * 51],
                to_version=["", "v" * 51],
            ),
        ],
    ),
    "SetLabelRequest": (
        [DEPLOYMENT, {**DEPLOYMENT, "protected": True, "targets": [{"version": "v1", "weight": 1}, {"version": "v2"}]}],
        [
            *odd(DEPLOYMENT, template_id=["", "7"], label=["", "a b", "latest", "l" * 51], etag=["e" * 65]),
            *odd(DEPLOYMENT, targets=[[], [{"version": "a"}] * 2, [{"version": str(n)} for n in range(11)]]),
            ({**DEPLOYMENT, "targets": [{"version": ""}]}, "targets[0].version"),
            ({**DEPLOYMENT, "targets": [{"version": "v", "weight": 1001}]}, "targets[0].weight"),
        ],
    ),
    "RemoveLabelRequest": (
        [{"template_id": ID, "label": "production"}],
        odd({"template_id": ID, "label": "production"}, template_id=["", "7"], label=["", "l" * 51], etag=["e" * 65]),
    ),
    "ListLabelsRequest": ([{"template_id": ID}], ids("template_id")),
    "RenderPromptRequest": (
        [{"template_id": ID}, {"template_id": ID, "label": "production", "variables": {"a": 1}, "user_key": "ada"}],
        [*ids("template_id"), *RENDERING],
    ),
    "WatchPromptsRequest": (
        [{}, {"template_ids": [ID, OTHER]}, {"watch_id": ID}, {"watch_id": ID, "after_seq": 7}],
        [
            ({"template_ids": [ID, ID]}, "template_ids"),
            ({"template_ids": ["7"]}, "template_ids[0]"),
            ({"watch_id": "7"}, "watch_id"),
            ({"watch_id": ID, "after_seq": -1}, "after_seq"),
            ({"after_seq": 7}, "after_seq"),
        ],
    ),
    "GetTemplateStatsRequest": (
        [{"template_id": ID}, {"template_id": ID, "day_from": FUTURE}],
        [
            *ids("template_id"),
            ({"template_id": ID, "day_from": Timestamp(seconds=-1)}, "day_from"),
            ({"template_id": ID, "day_until": Timestamp(seconds=10**12)}, "day_until"),
        ],
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
            *odd({}, user_id=["ada"], api_key_id=["ada"], model_id=["gpt-4"]),
            *odd({}, trace_id=["0AF7651916CD43DD8448EB211C80319C", "7"]),
            ({"status": 9}, "status"),
        ],
    ),
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


def test_every_field_that_has_a_rule_is_refused_in_some_line() -> None:
    for name, (_, bad) in CASES.items():
        descriptor = descriptor_pool.Default().FindMessageTypeByName(REQUESTS[name])
        refused = {culprit.partition(".")[0].partition("[")[0] for _, culprit in bad}
        ruled = {field.name for field in descriptor.fields if field.GetOptions().ByteSize()}
        assert ruled <= refused, name
