"""That each method works, and a new one as soon as it is there: those that change something are tried by
test_every_change, and all others here, in a tenant that has something of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.message import Message

from atrium.audit.v1 import audit_log_pb2
from atrium.identity.v1 import session_pb2
from atrium.knowledge.v1 import search_pb2
from atrium.model.v1 import model_pb2, stream_pb2, usage_pb2
from atrium.workflow.v1 import agent_run_pb2
from tests.factories.agents import make_agent
from tests.factories.executions import ended, execute, step_execution
from tests.factories.knowledge import make_base, processed, send, start
from tests.factories.prompts import make_template, make_version, set_label
from tests.factories.searches import query, search
from tests.factories.workflows import make_workflow
from tests.factories.world import Person, World
from tests.gateways import NOT_FOR_EVER, chat_with, embed_with, stream_from
from tests.rpc.by_id import BY_ID
from tests.rpc.changes import NOTHING
from tests.rpc.methods import AUDIT, IDENTITY, KNOWLEDGE, MODEL, PROMPT, RULES, WORKFLOW, request_of
from tests.rpc.requests import GOOD, HELLO
from tests.rpc.routing import route_to

CHAT, EMBEDDING = "stub-fast-3", "local-embedding"

Ids = Mapping[str, str]
"""Those of what the tenant has, by its kind, as BY_ID has it."""

_OTHERS: dict[str, Callable[[Ids], Message]] = {
    IDENTITY + "RefreshToken": lambda its: session_pb2.RefreshTokenRequest(refresh_token=its["refresh_token"]),
    KNOWLEDGE + "Ask": lambda its: search_pb2.AskRequest(query=query(its["knowledge_base"], "Theirs?"), model=CHAT),
    MODEL + "Chat": lambda its: request_of(MODEL + "Chat", model=CHAT, prompt={"template_id": its["template"]}),
    MODEL + "Embed": lambda _: request_of(MODEL + "Embed", model=EMBEDDING, inputs=["a"]),
    MODEL + "GetModel": lambda its: model_pb2.GetModelRequest(id=its["model"]),
    WORKFLOW + "RunAgent": lambda its: agent_run_pb2.RunAgentRequest(agent_id=its["agent"], messages=[HELLO]),
    MODEL + "StreamChat": lambda _: stream_pb2.StreamChatRequest(model=CHAT, messages=[HELLO]),
}
"""Requests of methods of which those that others are tried with are refused, or ask a model that is slow."""

_MAY_BE_EMPTY = {
    AUDIT + "VerifyAuditLogs": "nothing is wrong",
    MODEL + "CancelGeneration": "that it was done is all there is to say",
}
"""Methods that work and have nothing to tell, and why."""

_ENDLESS = {AUDIT + "WatchAuditLogs", PROMPT + "WatchPrompts"}


async def _something_of_everything(world: World, owner: Person) -> Ids:
    models, who = world.models, {"metadata": owner.metadata}
    template_id = await make_template(world, owner)
    for text in ("Hello", "Hello there"):
        await make_version(world, owner, template_id, text)
    await set_label(world, owner, template_id, "production", "v1.0")
    base_id = await make_base(world, owner)
    upload_id = (await start(world, owner, base_id, info={"file_name": "a.txt"})).id
    document_id = (await send(world, owner, upload_id, b"Theirs")).id
    await processed(world, owner, document_id)
    await search(world, owner, base_id, "Theirs?")
    workflow_id = await make_workflow(world, owner)
    execution_id = (await execute(world, owner, workflow_id)).id
    await ended(world, owner, execution_id)
    await step_execution(world, owner, "Replay", execution_id)
    await chat_with(world, owner, CHAT, prompt={"template_id": template_id}, messages=[])
    events = [event async for event in stream_from(world, owner, CHAT, resumable=True)]
    await models.CreateCredential(GOOD[MODEL + "CreateCredential"], **who)
    limits = usage_pb2.SetModelLimitsRequest(user_id=owner.id, requests_per_minute=1000)
    entries = await world.audit.ListAuditLogs(audit_log_pb2.ListAuditLogsRequest(), **who)
    await world.identity.CreateApiKey(request_of(IDENTITY + "CreateApiKey", name="key", scopes=["users:read"]), **who)
    own = await models.CreateTenantModel(GOOD[MODEL + "CreateTenantModel"], **who)
    return {
        "user": owner.id,
        "role": (await world.role(owner, "users:read")).id,
        "refresh_token": (await world.sign_in(owner.tenant, owner.username)).tokens.refresh_token,
        "model": (await models.ListModels(model_pb2.ListModelsRequest(), **who)).models[0].id,
        "tenant_model": own.model.id,
        "route": (await route_to(world, owner, CHAT)).id,
        "limits": (await models.SetModelLimits(limits, **who)).limits.id,
        "call_log": (await embed_with(world, owner, EMBEDDING, ["a"])).call_log_id,
        "generation": events[0].started.generation_id,
        "audit_log": entries.audit_logs[0].id,
        "template": template_id,
        "knowledge_base": base_id,
        "document": document_id,
        "upload": upload_id,
        "workflow": workflow_id,
        "agent": (await make_agent(world, owner, model=CHAT)).id,
        "execution": execution_id,
        "tenant": owner.tenant_id,
    }


def _request(path: str, ids: Ids) -> Message:
    """Of everything there is, or of one thing that the tenant has."""
    if path in _OTHERS:
        return _OTHERS[path](ids)
    for kind, by in BY_ID.items():
        if path in by:
            return by[path](ids[kind])
    return GOOD[path]


async def test_every_method_that_changes_nothing_answers_with_what_there_is(router: World) -> None:
    owner, platform = await router.tenant(), await router.platform()
    ids = await _something_of_everything(router, owner)

    for path in sorted(NOTHING):
        by = platform if RULES[path].platform_only else owner
        call = router.method(path)(_request(path, ids), metadata=by.metadata, timeout=NOT_FOR_EVER)
        answer = await _answer(path, call)

        told = {field.name for message in answer for field, _ in message.ListFields()}
        assert told or path in _MAY_BE_EMPTY, path
        assert "failed" not in told, path


async def _answer(path: str, call: Any) -> list[Message]:
    """All of it; of a stream that goes on until it is cancelled, how it begins."""
    if not hasattr(call, "__aiter__"):
        return [await call]
    if path in _ENDLESS:
        beginning = await anext(aiter(call))
        call.cancel()
        return [beginning]
    return [message async for message in call]
