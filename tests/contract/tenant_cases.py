"""Requests of the tenant service, good ones and bad ones."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from tests.contract.cases import FUTURE, ID, PAGE, PERIOD, Cases, ids, mask, odd

TENANT = {
    "slug": "acme",
    "name": "Acme 公司",
    "administrator": {"username": "ada", "email": "ada@acme.test", "password": "correct horse"},
}
_COUNTED = ("requests_per_minute", "tokens_per_minute")
RETAINED = ("soft_delete", "audit", "call_log", "prompt", "query_log", "execution")

TENANT_CASES: Cases = {
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
            *odd({}, **{name: [-1] for name in (*_COUNTED, "monthly_token_quota", "max_parallel_calls")}),
            *(({"update_mask": mask(f"{name}_retention_days")}, f"{name}_retention_days") for name in RETAINED),
            ({"update_mask": mask("store_prompts")}, "store_prompts"),
            *odd({}, max_concurrent_workflows=[0, 101], workflow_timeout_seconds=[0, 31_536_001]),
            *odd({}, execution_retention_days=[0, 3651]),
            *(({"update_mask": mask(name)}, name) for name in ("max_concurrent_workflows", "workflow_timeout_seconds")),
            *odd({}, prompt_retention_days=[0, 3651], query_log_retention_days=[0, 3651]),
            *odd({}, vector_search_top_k=[0, 101], vector_search_threshold=[-0.1, 1.1]),
        ],
    ),
    **{
        f"{name}Request": ([{"id": ID}], ids("id"))
        for name in ("SuspendTenant", "ActivateTenant", "RestoreTenant", "PurgeTenant")
    },
    "DeleteTenantRequest": ([{"id": ID, "etag": "1"}], [*ids("id"), ({"id": ID, "etag": "e" * 65}, "etag")]),
    "GetUsageRequest": ([{}, {"tenant_id": ID}], odd({}, tenant_id=["acme"])),
    "ExportTenantRequest": (
        [{}, {"tenant_id": ID, "after_cursor": "x"}],
        odd({}, tenant_id=["acme"], after_cursor=["x" * 4097]),
    ),
}
