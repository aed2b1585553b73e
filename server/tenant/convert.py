"""Between the tenant slice's protos and its domain."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson
from google.protobuf import struct_pb2

from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2, usage_pb2
from server.kernel.errors import InvalidRequest, etag_of
from server.kernel.masks import masked
from server.rpc.wire import EnumMap, changes, json_struct, moment, money, present, struct, timestamp
from server.tenant.domain import Tenant, TenantConfig, TenantUsage

_MOST_EXTRA_BYTES = 65_536

STATES = EnumMap(
    {
        "active": tenant_pb2.Tenant.STATE_ACTIVE,
        "suspended": tenant_pb2.Tenant.STATE_SUSPENDED,
        "deleted": tenant_pb2.Tenant.STATE_DELETED,
    }
)
TIERS = EnumMap(
    {
        "free": tenant_pb2.Tenant.TIER_FREE,
        "pro": tenant_pb2.Tenant.TIER_PRO,
        "enterprise": tenant_pb2.Tenant.TIER_ENTERPRISE,
    }
)

_LIMITS = ("max_users", "max_workflows", "max_knowledge_bases")
_ENDS = {"trial_end_time": "trial_ends_at", "subscription_end_time": "subscription_ends_at"}
_CALL_LIMITS = ("requests_per_minute", "tokens_per_minute", "monthly_token_quota", "max_parallel_calls")
_RETENTIONS = (
    *("soft_delete_retention_days", "audit_retention_days", "call_log_retention_days", "prompt_retention_days"),
    *("query_log_retention_days", "execution_retention_days"),
)
_EXECUTIONS = ("max_concurrent_workflows", "workflow_timeout_seconds")
_SEARCHES = ("vector_search_top_k", "vector_search_threshold", "store_queries")
_CONTACT = ("contact_email", "contact_phone", "contact_person", "industry", "company_size", "country")


def tenant(value: Tenant) -> tenant_pb2.Tenant:
    return tenant_pb2.Tenant(
        id=str(value.id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        slug=value.slug,
        name=value.name,
        state=STATES.number[value.status],
        tier=TIERS.number[value.tier],
        contact_email=value.contact_email,
        contact_phone=value.contact_phone,
        contact_person=value.contact_person,
        industry=value.industry,
        company_size=value.company_size,
        country=value.country,
        delete_time=timestamp(value.deleted_at),
        trial_end_time=timestamp(value.trial_ends_at),
        subscription_end_time=timestamp(value.subscription_ends_at),
        **{name: getattr(value, name) for name in _LIMITS},
        quota_raises=[
            tenant_pb2.QuotaRaise(
                resource=resource,
                limit=raised["limit"],
                expire_time=timestamp(datetime.fromisoformat(raised["until"])),
            )
            for resource, raised in sorted((value.quota_override or {}).items())
        ],
    )


def new_tenant(request: tenant_pb2.CreateTenantRequest) -> dict[str, Any]:
    """The columns of a new tenant."""
    return {
        "slug": request.slug,
        "name": request.name,
        "tier": TIERS.word.get(request.tier, "free"),
        **present(request, *_CONTACT),
    }


def tenant_changes(request: tenant_pb2.UpdateTenantRequest) -> dict[str, Any]:
    values = {**present(request, "name", "tier", *_CONTACT, *_LIMITS), "quota_raises": None}
    for field in _ENDS:
        values[field] = moment(request, field)
    if request.quota_raises or "quota_raises" in request.update_mask.paths:
        values["quota_raises"] = {
            each.resource: {"limit": each.limit, "until": ends.isoformat()}
            for place, each in enumerate(request.quota_raises)
            if (ends := moment(each, "expire_time", f"quota_raises[{place}].expire_time")) is not None
        }
    found = masked(values, request.update_mask.paths)
    if "tier" in found:
        found["tier"] = TIERS.word[found["tier"]]
    if "quota_raises" in found:
        found["quota_override"] = found.pop("quota_raises") or None
    return {_ENDS.get(name, name): value for name, value in found.items()}


def tenant_filters(request: tenant_pb2.ListTenantsRequest) -> dict[str, Any]:
    return {
        "status": STATES.word.get(request.state),
        "since": moment(request, "create_time_from"),
        "until": moment(request, "create_time_until"),
    }


def config(tenant_id: object, value: TenantConfig) -> tenant_config_pb2.TenantConfig:
    made = tenant_config_pb2.TenantConfig(
        tenant_id=str(tenant_id),
        etag=etag_of(value.revision),
        create_time=timestamp(value.created_at),
        update_time=timestamp(value.updated_at),
        default_model=value.default_model,
        default_embedding_model=value.default_embedding_model,
        max_tokens_per_request=value.max_tokens_per_request,
        temperature=float(value.temperature),
        require_verified_email=value.require_verified_email,
        monthly_cost_quota_usd=money(value.monthly_cost_quota_usd),
        store_prompts=value.store_prompts,
        vector_search_top_k=value.vector_search_top_k,
        vector_search_threshold=None if value.vector_search_threshold is None else float(value.vector_search_threshold),
        store_queries=value.store_queries,
        **{name: getattr(value, name) for name in _CALL_LIMITS},
        **{name: getattr(value, name) for name in (*_RETENTIONS, *_EXECUTIONS)},
    )
    if (extra := struct(value.extra_config)) is not None:
        made.extra_config.CopyFrom(extra)
    return made


def config_changes(request: tenant_config_pb2.UpdateTenantConfigRequest) -> dict[str, Any]:
    names = ("default_model", "default_embedding_model", "max_tokens_per_request", "temperature", "extra_config")
    limits = (*_CALL_LIMITS, "monthly_cost_quota_usd")
    switches = ("require_verified_email", "store_prompts")
    values = changes(request, *names, *_RETENTIONS, *limits, *_SEARCHES, *_EXECUTIONS, *switches)
    if values.get("monthly_cost_quota_usd") is not None:
        values["monthly_cost_quota_usd"] = Decimal(values["monthly_cost_quota_usd"])
    for name in ("temperature", "vector_search_threshold"):
        if values.get(name) is not None:
            values[name] = Decimal(repr(values[name])).quantize(Decimal("0.01"))
    if isinstance(values.get("extra_config"), struct_pb2.Struct):
        values["extra_config"] = extra = json_struct(values["extra_config"], "extra_config")
        if len(orjson.dumps(extra)) > _MOST_EXTRA_BYTES:
            raise InvalidRequest([("extra_config", f"must have at most {_MOST_EXTRA_BYTES} bytes as JSON")])
    return values


def usage(value: TenantUsage) -> usage_pb2.GetUsageResponse:
    return usage_pb2.GetUsageResponse(
        tier=TIERS.number[value.tier],
        usage=[
            usage_pb2.QuotaUsage(resource=resource, used=count, limit=limit)
            for resource, count, limit in value.resources
        ],
        features=value.features,
        call_limits=[
            usage_pb2.CallLimitUsage(
                name=each.name,
                limit=money(each.limit),
                used=money(each.used),
                reserved=money(each.reserved),
                reset_time=timestamp(each.resets_at),
            )
            for each in value.calls
        ],
    )
