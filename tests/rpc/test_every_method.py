"""What holds for every method alike, and for a new one as soon as it is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from atrium.audit.v1 import audit_log_pb2
from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2
from atrium.knowledge.v1 import document_pb2
from atrium.model.v1 import embedding_pb2, stream_pb2, usage_pb2
from atrium.prompt.v1 import template_pb2
from atrium.workflow.v1 import execution_pb2
from server.kernel.permissions import Permission
from tests.factories.agents import make_agent
from tests.factories.world import Person, Refusal, World, read_refusal, refused
from tests.rpc.by_id import BY_ID, NO_OBJECT
from tests.rpc.changes.rows import Rows, rows_of
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import IDENTITY, KNOWLEDGE, METHODS, MODEL, PROMPT, RULES, TENANT, WORKFLOW, request_of
from tests.rpc.requests import GOOD, HELLO, MALFORMED

PUBLIC = sorted(path for path, rule in RULES.items() if rule.access == "public")
PRIVATE = sorted(RULES.keys() - set(PUBLIC))
PERMITTED = sorted(path for path, rule in RULES.items() if isinstance(rule.access, Permission))
_GROUPS = {"generation": pytest.mark.xdist_group("local-model")}  # a real model writes one
PLATFORM = sorted(path for path, rule in RULES.items() if rule.platform_only)


def test_the_tables_of_requests_name_every_method() -> None:
    without_fields = {path for path in RULES if not GOOD[path].DESCRIPTOR.fields}

    assert GOOD.keys() == RULES.keys()
    assert MALFORMED.keys() == RULES.keys() - without_fields


async def test_a_call_without_a_credential_is_unauthenticated(world: World) -> None:
    for path in PRIVATE:
        refusal = await refused(world.method(path)(GOOD[path]))

        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "AUTHENTICATION_REQUIRED"), path


async def test_what_a_request_must_look_like_is_only_for_callers(world: World) -> None:
    for path in sorted(MALFORMED.keys() & set(PRIVATE)):
        refusal = await refused(world.method(path)(MALFORMED[path].request))

        assert refusal.code is grpc.StatusCode.UNAUTHENTICATED, path


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
    return str((await world.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=owner.metadata)).session_id)


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
    request = embedding_pb2.EmbedRequest(model="local-embedding", inputs=["a"])
    return str((await world.models.Embed(request, metadata=owner.metadata)).call_log_id)


async def _audit_log(world: World, owner: Person) -> str:
    entries = await world.audit.ListAuditLogs(audit_log_pb2.ListAuditLogsRequest(), metadata=owner.metadata)
    return str(entries.audit_logs[0].id)


async def _limits(world: World, owner: Person) -> str:
    request = usage_pb2.SetModelLimitsRequest(user_id=owner.id)
    return str((await world.models.SetModelLimits(request, metadata=owner.metadata)).limits.id)


async def _template(world: World, owner: Person) -> str:
    request = template_pb2.CreateTemplateRequest(name="theirs", visibility=template_pb2.VISIBILITY_TENANT)
    return str((await world.prompts.CreateTemplate(request, metadata=owner.metadata)).template.id)


async def _knowledge_base(world: World, owner: Person) -> str:
    made = await world.knowledge.CreateKnowledgeBase(GOOD[KNOWLEDGE + "CreateKnowledgeBase"], metadata=owner.metadata)
    return str(made.knowledge_base.id)


async def _document(world: World, owner: Person) -> str:
    request = document_pb2.IngestTextRequest(knowledge_base_id=await _knowledge_base(world, owner), text="Theirs")
    return str((await world.knowledge.IngestText(request, metadata=owner.metadata)).document.id)


async def _upload(world: World, owner: Person) -> str:
    request = document_pb2.StartUploadRequest(knowledge_base_id=await _knowledge_base(world, owner))
    return str((await world.knowledge.StartUpload(request, metadata=owner.metadata)).upload.id)


async def _workflow(world: World, owner: Person) -> str:
    made = await world.workflows.CreateWorkflow(GOOD[WORKFLOW + "CreateWorkflow"], metadata=owner.metadata)
    return str(made.workflow.id)


async def _execution(world: World, owner: Person) -> str:
    request = execution_pb2.ExecuteWorkflowRequest(workflow_id=await _workflow(world, owner))
    return str((await world.workflows.ExecuteWorkflow(request, metadata=owner.metadata)).execution.id)


async def _agent(world: World, owner: Person) -> str:
    return str((await make_agent(world, owner)).id)


async def _user(world: World, owner: Person) -> str:
    return owner.id


async def _tenant(world: World, owner: Person) -> str:
    return owner.tenant_id


async def _generation(world: World, owner: Person) -> str:
    request = stream_pb2.StreamChatRequest(model="local-chat", messages=[HELLO], max_tokens=1, resumable=True)
    event = await world.models.StreamChat(request, metadata=owner.metadata).read()
    return str(event.started.generation_id)


_SAME_IDS = (("x-request-id", "same"), ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"))
_MAKERS = {
    "user": _user,
    "role": _role,
    "session": _session,
    "key": _key,
    "credential": _credential,
    "tenant_model": _tenant_model,
    "route": _route,
    "call_log": _call_log,
    "audit_log": _audit_log,
    "limits": _limits,
    "template": _template,
    "knowledge_base": _knowledge_base,
    "document": _document,
    "upload": _upload,
    "workflow": _workflow,
    "execution": _execution,
    "agent": _agent,
    "generation": _generation,
    "tenant": _tenant,
}


def _ids_of(message: Descriptor, prefix: str = "", within: tuple[Descriptor, ...] = ()) -> Iterator[str]:
    """Where a message of this kind has an id."""
    for field in message.fields:
        inner = field.message_type
        if inner is not None and inner.file.package.startswith("atrium.") and inner not in within:
            yield from _ids_of(inner, f"{prefix}{field.name}.", (*within, inner))
        elif field.type == field.TYPE_STRING and re.fullmatch(r"(.+_)?ids?", field.name):
            yield prefix + field.name


def _places_of(message: Message, object_id: str, prefix: str = "") -> Iterator[str]:
    """Where the message has that id."""
    for field, value in message.ListFields():
        if field.is_repeated and object_id in value:
            yield prefix + field.name
        elif isinstance(value, Message):
            yield from _places_of(value, object_id, f"{prefix}{field.name}.")
        elif value == object_id:
            yield prefix + field.name


def test_every_id_that_a_tenant_may_name_is_one_that_is_looked_for_in_vain() -> None:
    named = {(path, place) for path, method in METHODS.items() for place in _ids_of(method.input_type)}
    tried = {
        (path, place)
        for by in BY_ID.values()
        for path, make in by.items()
        for place in _places_of(make("sought"), "sought")
    }

    assert {(path, place) for path, place in named if not RULES[path].platform_only} == tried | NO_OBJECT.keys()


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=_GROUPS.get(kind, ())) for kind in BY_ID])
async def test_another_tenants_object_and_none_at_all_are_one_answer_byte_for_byte(world: World, kind: str) -> None:
    owner, other = await world.tenant(), await world.tenant()
    foreign = await _MAKERS[kind](world, owner)
    for path, make in BY_ID[kind].items():
        answers = []
        for object_id in (foreign, SOME_ID):
            refusal = await refused(world.method(path)(make(object_id), metadata=(*other.metadata, *_SAME_IDS)))
            assert refusal.code is grpc.StatusCode.NOT_FOUND, path
            answers.append(_but_for_the_id(refusal, object_id))

        assert answers[0] == answers[1], path


def _but_for_the_id(refusal: Refusal, object_id: str) -> tuple[Any, ...]:
    """All of the answer, byte for byte."""
    status = refusal.trailers["grpc-status-details-bin"].replace(object_id.encode(), b"<id>")
    return refusal.message, status, {**refusal.trailers, "grpc-status-details-bin": b""}


@pytest.mark.parametrize(
    ("path", "kind", "delete"),
    [
        (IDENTITY + "PurgeUser", "user", IDENTITY + "DeleteUser"),
        (IDENTITY + "PurgeRole", "role", IDENTITY + "DeleteRole"),
        (PROMPT + "PurgeTemplate", "template", PROMPT + "DeleteTemplate"),
        (KNOWLEDGE + "PurgeDocument", "document", KNOWLEDGE + "DeleteDocument"),
        (KNOWLEDGE + "PurgeKnowledgeBase", "knowledge_base", KNOWLEDGE + "DeleteKnowledgeBase"),
        (WORKFLOW + "PurgeWorkflow", "workflow", WORKFLOW + "DeleteWorkflow"),
        (WORKFLOW + "PurgeAgent", "agent", WORKFLOW + "DeleteAgent"),
    ],
)
async def test_nor_does_the_platform_reach_over_to_a_tenant_that_it_does_not_act_in(
    world: World, path: str, kind: str, delete: str
) -> None:
    owner, platform = await world.tenant(), await world.platform()
    foreign = (await world.user(owner)).id if kind == "user" else await _MAKERS[kind](world, owner)
    await world.method(delete)(request_of(delete, id=foreign), metadata=owner.metadata)

    answers = [
        await refused(world.method(path)(request_of(path, id=it), metadata=(*platform.metadata, *_SAME_IDS)))
        for it in (foreign, SOME_ID)
    ]

    assert answers[0].code is grpc.StatusCode.NOT_FOUND
    assert _but_for_the_id(answers[0], foreign) == _but_for_the_id(answers[1], SOME_ID)


def test_every_method_of_the_platform_that_names_what_is_a_tenants_is_one_of_those() -> None:
    of_tenants = {"user", "role", "template", "knowledge_base", "document", "workflow", "agent"}
    purge = re.compile("Purge(User|Role|Template|KnowledgeBase|Document|Workflow|Agent)")
    purges = {path for path in PLATFORM if purge.fullmatch(path.rpartition("/")[2])}
    named = {path for path in PLATFORM if any(True for _ in _ids_of(METHODS[path].input_type))}

    assert len(purges) == len(of_tenants)
    assert {path for path in named - purges if not path.startswith(TENANT)} == {
        MODEL + "UpdateModel",
        MODEL + "SetModelPrice",
    }, "the platform's own models"


async def _outcome(call: Any) -> tuple[grpc.StatusCode, str]:
    """How the call ended, and why; of a stream, how it began."""
    try:
        await (anext(aiter(call)) if hasattr(call, "__aiter__") else call)
    except grpc.aio.AioRpcError as error:
        return error.code(), read_refusal(error).reason
    finally:
        call.cancel()
    return grpc.StatusCode.OK, ""


async def test_another_tenants_id_in_the_header_changes_nothing_of_any_call(world: World, admin: Any) -> None:
    owner, twin, other = [await world.tenant() for _ in range(3)]
    last = IDENTITY + "Logout"
    before = await rows_of(admin)

    for path in [*sorted(set(PRIVATE) - {last}), last]:
        named = (*owner.metadata, ("x-tenant-id", other.tenant_id))
        with_id = await _outcome(world.method(path)(GOOD[path], metadata=named))
        without = await _outcome(world.method(path)(GOOD[path], metadata=twin.metadata))
        assert with_id == without, path

    changed = [row for rows in (await rows_of(admin)).items() for row in _new(before, *rows)]
    assert {owner.tenant_id, twin.tenant_id} <= {str(row.get("tenant_id")) for row in changed}
    assert [row for row in changed if other.tenant_id in (row.get("tenant_id"), row.get("acting_for"))] == []


def _new(before: Rows, table: str, rows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The table's rows that were not there before, or not as they are."""
    return [row for key, row in rows.items() if before[table].get(key) != row]


def test_a_tenant_is_named_in_no_request_but_of_its_own_service_and_before_a_sign_in() -> None:
    named = {
        path
        for path, method in METHODS.items()
        if not path.startswith(TENANT)
        and any(re.fullmatch("tenant(_id)?", field.name) for field in method.input_type.fields)
    }

    assert named == {IDENTITY + "Login", IDENTITY + "RequestPasswordReset"}


async def test_a_role_is_given_to_nobody_elses_user_and_no_user_gets_somebody_elses_role(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    for user, role, missing in (
        (owner.id, await _role(world, other), "USER_NOT_FOUND"),
        (other.id, await _role(world, owner), "ROLE_NOT_FOUND"),
    ):
        for method, request in (
            (world.identity.AssignRole, role_pb2.AssignRoleRequest),
            (world.identity.UnassignRole, role_pb2.UnassignRoleRequest),
        ):
            refusal = await refused(method(request(user_id=user, role_id=role), metadata=other.metadata))

            assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, missing)
