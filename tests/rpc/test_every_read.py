"""What was deleted, in every read of what can be: shown to who may look at it and asks, and to nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2

from atrium.common.v1 import deleted_pb2
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.factories.agents import make_agent
from tests.factories.knowledge import ingest, make_base
from tests.factories.prompts import make_template
from tests.factories.workflows import make_workflow
from tests.factories.world import Person, World, refused
from tests.rpc.methods import IDENTITY, KNOWLEDGE, METHODS, PROMPT, RULES, TENANT, WORKFLOW, request_of

EXCLUDE, INCLUDE, ONLY = (
    deleted_pb2.DELETED_EXCLUDE,
    deleted_pb2.DELETED_INCLUDE,
    deleted_pb2.DELETED_ONLY,
)


async def _user(world: World, by: Person) -> str:
    return (await world.user(by)).id


async def _role(world: World, by: Person) -> str:
    return str((await world.role(by)).id)


async def _template(world: World, by: Person) -> str:
    return await make_template(world, by, f"template-{await _user(world, by)}")


async def _knowledge_base(world: World, by: Person) -> str:
    return await make_base(world, by, f"base-{await _user(world, by)}")


async def _document(world: World, by: Person) -> str:
    """In the tenant's one base."""
    found = await world.knowledge.ListKnowledgeBases(bases.ListKnowledgeBasesRequest(), metadata=by.metadata)
    base_id = found.knowledge_bases[0].id if found.knowledge_bases else await make_base(world, by)
    return str((await ingest(world, by, base_id, f"Text {await _user(world, by)}")).id)


async def _workflow(world: World, by: Person) -> str:
    return await make_workflow(world, by, f"workflow-{await _user(world, by)}")


async def _agent(world: World, by: Person) -> str:
    return str((await make_agent(world, by, f"agent-{await _user(world, by)}")).id)


async def _tenant(world: World, by: Person) -> str:
    return (await world.tenant()).tenant_id


Maker = Callable[[World, Person], Awaitable[str]]
READS: dict[str, tuple[Maker, str]] = {
    IDENTITY + "GetUser": (_user, IDENTITY + "DeleteUser"),
    IDENTITY + "ListUsers": (_user, IDENTITY + "DeleteUser"),
    IDENTITY + "GetRole": (_role, IDENTITY + "DeleteRole"),
    IDENTITY + "ListRoles": (_role, IDENTITY + "DeleteRole"),
    PROMPT + "GetTemplate": (_template, PROMPT + "DeleteTemplate"),
    PROMPT + "ListTemplates": (_template, PROMPT + "DeleteTemplate"),
    KNOWLEDGE + "GetKnowledgeBase": (_knowledge_base, KNOWLEDGE + "DeleteKnowledgeBase"),
    KNOWLEDGE + "ListKnowledgeBases": (_knowledge_base, KNOWLEDGE + "DeleteKnowledgeBase"),
    KNOWLEDGE + "GetDocument": (_document, KNOWLEDGE + "DeleteDocument"),
    KNOWLEDGE + "ListDocuments": (_document, KNOWLEDGE + "DeleteDocument"),
    WORKFLOW + "GetWorkflow": (_workflow, WORKFLOW + "DeleteWorkflow"),
    WORKFLOW + "ListWorkflows": (_workflow, WORKFLOW + "DeleteWorkflow"),
    WORKFLOW + "GetAgent": (_agent, WORKFLOW + "DeleteAgent"),
    WORKFLOW + "ListAgents": (_agent, WORKFLOW + "DeleteAgent"),
    TENANT + "GetTenant": (_tenant, TENANT + "DeleteTenant"),
    TENANT + "ListTenants": (_tenant, TENANT + "DeleteTenant"),
}
"""What is read by each method, and what deletes it."""


def _reads_deletable(path: str, method: MethodDescriptor) -> bool:
    """Whether what the method reads can be deleted and brought back."""
    shown = (field.message_type for field in method.output_type.fields if field.message_type is not None)
    return path.rpartition("/")[2].startswith(("Get", "List")) and any(
        "delete_time" in message.fields_by_name for message in shown
    )


def test_every_read_of_what_can_be_deleted_asks_whether_to_show_it() -> None:
    asked = {path for path, method in METHODS.items() if "deleted" in method.input_type.fields_by_name}

    assert asked == {path for path, method in METHODS.items() if _reads_deletable(path, method)}
    assert asked == READS.keys()


def test_what_can_be_brought_back_says_when_it_was_deleted() -> None:
    restored = [method for path, method in METHODS.items() if path.rpartition("/")[2].startswith("Restore")]

    assert len(restored) == len({delete for _, delete in READS.values()})
    for method in restored:
        (field,) = method.output_type.fields
        assert "delete_time" in field.message_type.fields_by_name, method.full_name


@pytest.mark.parametrize("path", sorted(READS))
async def test_what_was_deleted_is_shown_on_request_to_who_may_look_at_it_alone(world: World, path: str) -> None:
    make, delete = READS[path]
    platform = make is _tenant
    owner = await world.platform() if platform else await world.tenant()
    live, deleted = await make(world, owner), await make(world, owner)
    await world.method(delete)(request_of(delete, id=deleted), metadata=owner.metadata)
    reader = await world.user(owner, str(RULES[path].access))
    shown_to = await world.user(owner, str(RULES[path].access), "deleted:read")

    for which in (INCLUDE, ONLY):
        refusal = await refused(_read(world, path, reader, live, which))
        assert refusal.code is grpc.StatusCode.PERMISSION_DENIED
        assert refusal.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "deleted:read"
    found = {which: await _found(world, path, shown_to, [live, deleted], which) for which in (EXCLUDE, INCLUDE, ONLY)}

    assert await _found(world, path, reader, [live, deleted], EXCLUDE) == [live]
    assert found == {EXCLUDE: [live], INCLUDE: [live, deleted], ONLY: [deleted]}


async def _read(world: World, path: str, by: Person, object_id: str, which: Any) -> Any:
    named = {"id": object_id} if "Get" in path.rpartition("/")[2] else {}
    if path == KNOWLEDGE + "ListDocuments":
        found = await world.knowledge.ListKnowledgeBases(bases.ListKnowledgeBasesRequest(), metadata=by.metadata)
        named = {"knowledge_base_id": found.knowledge_bases[0].id}
    return await world.method(path)(request_of(path, deleted=which, **named), metadata=by.metadata)


async def _code(call: Awaitable[Any]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def _found(world: World, path: str, by: Person, ids: list[str], which: Any) -> list[str]:
    """Those of the ids that the method shows."""
    if "List" in path:
        reply = await _read(world, path, by, "", which)
        listed = {each.id for each in getattr(reply, reply.DESCRIPTOR.fields[0].name)}
        return [each for each in ids if each in listed]
    found = []
    for each in ids:
        code = await _code(_read(world, path, by, each, which))
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND)
        if code is grpc.StatusCode.OK:
            found.append(each)
    return found
