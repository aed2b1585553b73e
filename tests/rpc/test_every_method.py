"""What holds for every method alike, and for a new one as soon as it is there."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.identity.v1 import api_key_pb2, identity_service_pb2
from atrium.model.v1 import model_service_pb2, usage_pb2
from atrium.prompt.v1 import prompt_service_pb2, template_pb2
from atrium.tenant.v1 import tenant_service_pb2
from server.kernel.permissions import Permission
from server.rpc.policy import read_rules
from tests.factories.world import Person, World, refused
from tests.rpc.requests import (
    BY_CALL_LOG,
    BY_CREDENTIAL,
    BY_KEY,
    BY_LIMITS,
    BY_ROLE,
    BY_ROUTE,
    BY_SESSION,
    BY_TEMPLATE,
    BY_TENANT,
    BY_TENANT_MODEL,
    BY_USER,
    GOOD,
    MALFORMED,
    MODEL,
    SOME_ID,
)

SERVICES = [
    tenant_service_pb2.DESCRIPTOR.services_by_name["TenantService"],
    identity_service_pb2.DESCRIPTOR.services_by_name["IdentityService"],
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
    prompt_service_pb2.DESCRIPTOR.services_by_name["PromptService"],
]
RULES = read_rules(SERVICES)
PUBLIC = sorted(path for path, rule in RULES.items() if rule.access == "public")
PRIVATE = sorted(RULES.keys() - set(PUBLIC))
PERMITTED = sorted(path for path, rule in RULES.items() if isinstance(rule.access, Permission))
PLATFORM = sorted(path for path, rule in RULES.items() if rule.platform_only)


def test_the_tables_of_requests_name_every_method() -> None:
    without_fields = {path for path in RULES if not GOOD[path].DESCRIPTOR.fields}

    assert GOOD.keys() == RULES.keys()
    assert MALFORMED.keys() == RULES.keys() - without_fields


@pytest.mark.parametrize("path", PRIVATE)
async def test_a_call_without_a_credential_is_unauthenticated(world: World, path: str) -> None:
    refusal = await refused(world.method(path)(GOOD[path]))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED")


@pytest.mark.parametrize("path", PRIVATE)
async def test_what_a_request_must_look_like_is_only_for_callers(world: World, path: str) -> None:
    if path in MALFORMED:
        refusal = await refused(world.method(path)(MALFORMED[path].request))

        assert refusal.code is grpc.StatusCode.UNAUTHENTICATED


async def test_whoever_lacks_the_permission_is_denied_and_told_which(world: World) -> None:
    nobody = await world.nobody(await world.tenant())

    for path in sorted(set(PERMITTED) - set(PLATFORM)):
        refusal = await refused(world.method(path)(GOOD[path], metadata=nobody.metadata))

        assert refusal.code is grpc.StatusCode.PERMISSION_DENIED, path
        info = refusal.detail(error_details_pb2.ErrorInfo)
        assert (info.reason, info.metadata["permission"]) == ("PERMISSION_MISSING", RULES[path].access), path


async def test_the_platforms_methods_are_closed_to_a_tenants_administrator(world: World) -> None:
    administrator = await world.tenant()

    for path in PLATFORM:
        refusal = await refused(world.method(path)(GOOD[path], metadata=administrator.metadata))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PLATFORM_ONLY"), path


async def test_a_malformed_request_is_refused_with_every_field_named(world: World) -> None:
    platform = await world.platform()

    for path, malformed in MALFORMED.items():
        refusal = await refused(world.method(path)(malformed.request, metadata=platform.metadata))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"), path
        assert sorted(set(refusal.fields)) == sorted(malformed.fields), path


async def test_every_answer_carries_its_ids(world: World) -> None:
    metadata = (("x-request-id", "my-request"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"))
    refusal = await refused(world.identity.WhoAmI(GOOD[PRIVATE[0]].__class__(), metadata=metadata))
    call = world.identity.GetJwks(GOOD[PUBLIC[0]], metadata=metadata)
    await call
    trailers = dict(await call.trailing_metadata())

    assert (refusal.trailers["x-request-id"], refusal.trailers["x-trace-id"]) == ("my-request", "ab" * 16)
    assert (trailers["x-request-id"], trailers["x-trace-id"]) == ("my-request", "ab" * 16)


async def _role(world: World, owner: Person) -> str:
    return str((await world.role(owner, "users:read")).id)


async def _session(world: World, owner: Person) -> str:
    return str((await world.identity.WhoAmI(identity_service_pb2.WhoAmIRequest(), metadata=owner.metadata)).session_id)


async def _key(world: World, owner: Person) -> str:
    request = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["users:read"])
    return str((await world.identity.CreateApiKey(request, metadata=owner.metadata)).api_key.id)


async def _credential(world: World, owner: Person) -> str:
    made = await world.models.CreateCredential(GOOD[MODEL + "CreateCredential"], metadata=owner.metadata)
    return str(made.credential.id)


async def _tenant_model(world: World, owner: Person) -> str:
    made = await world.models.CreateTenantModel(GOOD[MODEL + "CreateTenantModel"], metadata=owner.metadata)
    return str(made.model.id)


async def _route(world: World, owner: Person) -> str:
    return str((await world.models.CreateRoute(GOOD[MODEL + "CreateRoute"], metadata=owner.metadata)).route.id)


async def _call_log(world: World, owner: Person) -> str:
    request = model_service_pb2.EmbedRequest(model="local-embedding", inputs=["a"])
    return str((await world.models.Embed(request, metadata=owner.metadata)).call_log_id)


async def _limits(world: World, owner: Person) -> str:
    request = usage_pb2.SetModelLimitsRequest(user_id=owner.id)
    return str((await world.models.SetModelLimits(request, metadata=owner.metadata)).limits.id)


async def _template(world: World, owner: Person) -> str:
    request = template_pb2.CreateTemplateRequest(name="theirs", visibility=template_pb2.VISIBILITY_TENANT)
    return str((await world.prompts.CreateTemplate(request, metadata=owner.metadata)).template.id)


async def _user(world: World, owner: Person) -> str:
    return owner.id


async def _tenant(world: World, owner: Person) -> str:
    return owner.tenant_id


@pytest.mark.parametrize(
    ("by", "make_one"),
    [
        (BY_USER, _user),
        (BY_ROLE, _role),
        (BY_SESSION, _session),
        (BY_KEY, _key),
        (BY_CREDENTIAL, _credential),
        (BY_TENANT_MODEL, _tenant_model),
        (BY_ROUTE, _route),
        (BY_CALL_LOG, _call_log),
        (BY_LIMITS, _limits),
        (BY_TEMPLATE, _template),
        (BY_TENANT, _tenant),
    ],
    ids=[
        *("user", "role", "session", "key", "credential", "tenant_model", "route", "call_log", "limits", "template"),
        "tenant",
    ],
)
async def test_another_tenants_object_and_none_at_all_are_one_answer_byte_for_byte(
    world: World, by: dict[str, Any], make_one: Any
) -> None:
    owner, other = await world.tenant(), await world.tenant()
    foreign = await make_one(world, owner)
    for path, make in by.items():
        answers = []
        for object_id in (foreign, SOME_ID):
            metadata = (*other.metadata, ("x-request-id", "same"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"))
            refusal = await refused(world.method(path)(make(object_id), metadata=metadata))
            assert refusal.code is grpc.StatusCode.NOT_FOUND, path
            status = refusal.trailers["grpc-status-details-bin"].replace(object_id.encode(), b"<id>")
            answers.append((refusal.message, status, {**refusal.trailers, "grpc-status-details-bin": b""}))

        assert answers[0] == answers[1], path
