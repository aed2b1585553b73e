"""Where changes are tried, and what is to be told of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from google.protobuf.message import Message

from tests.factories.executions import Kind, until
from tests.factories.knowledge import processed
from tests.factories.world import Person, World
from tests.fakes.smtp import Mailbox
from tests.rpc.malformed import SOME_ID
from tests.rpc.methods import IDENTITY, KNOWLEDGE, MODEL, PROMPT, WORKFLOW, request_of
from tests.rpc.workflow_requests import ONE_STEP


@dataclass(frozen=True)
class Attempt:
    """A call that changes something, one of the same method that is refused, and what is to be told of the first.

    `by`: None for a public method; then `actor` is the person it is about. `target`: None where the answer names it.
    `tables`: those whose rows are told field by field. `beside`: others that the call changes. `old`, `new`: values
    that no row of a table has as they are told.
    """

    action: str
    kind: str
    request: Message
    refused: Message
    by: Person | None
    actor: Person
    target: str | None = None
    tenant_id: str | None = None
    tables: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)
    secret: bool = False
    """What it changes is a secret, of which nothing is told but that it changed."""
    answered_first: bool = False
    """The answer comes before the change, which the caller learns nothing of."""
    refused_by: Person | None = None
    etag: str = ""
    """What it is to be changed with, where that does not follow from a row's revision."""

    @property
    def log(self) -> str:
        """The tenant in whose log it is told."""
        return self.tenant_id or self.actor.tenant_id


@dataclass(frozen=True)
class Stage:
    """Where the calls are made: a tenant, its administrator, the platform's, and where mail arrives."""

    world: World
    box: Mailbox
    owner: Person
    platform: Person
    hold: Callable[[str], Awaitable[None]]
    """Has no worker begin a job of the tenant's from now on."""

    async def call(self, path: str, by: Person | None = None, **fields: Any) -> Any:
        who = by or self.owner
        return await self.world.method(path)(request_of(path, **fields), metadata=who.metadata)

    def attempt(self, path: str, action: str, kind: str, fields: Any, refused: Any, **more: Any) -> Attempt:
        """By the tenant's administrator, unless `by` names somebody else."""
        by = more.pop("by", self.owner)
        actor = more.pop("actor", by)
        return Attempt(action, kind, request_of(path, **fields), request_of(path, **refused), by, actor, **more)

    async def user(self) -> Person:
        return await self.world.user(self.owner)

    async def role(self) -> Any:
        return await self.world.role(self.owner, "users:read")

    async def key(self) -> Any:
        return (await self.call(IDENTITY + "CreateApiKey", name="key", scopes=["users:read"])).api_key

    async def template(self) -> str:
        name = f"template of {next(numbers)}"
        made = await self.call(PROMPT + "CreateTemplate", name=name, visibility=2)
        await self.call(PROMPT + "CreateVersion", template_id=made.template.id, text="Hello")
        return str(made.template.id)

    async def knowledge_base(self, by: Person | None = None) -> str:
        name = f"base {next(numbers)}"
        made = await self.call(KNOWLEDGE + "CreateKnowledgeBase", by, name=name, embedding_model="local-embedding")
        return str(made.knowledge_base.id)

    async def document(self, by: Person | None = None) -> Any:
        """One that is processed."""
        base_id = await self.knowledge_base(by)
        who = by or self.owner
        made = await self.call(KNOWLEDGE + "IngestText", who, knowledge_base_id=base_id, text=f"Text {next(numbers)}.")
        (document,) = await processed(self.world, who, made.document.id)
        return document

    async def workflow(self, by: Person | None = None) -> str:
        """One that the tenant shares."""
        name = f"workflow {next(numbers)}"
        made = await self.call(WORKFLOW + "CreateWorkflow", by, name=name, definition=ONE_STEP, visibility=2)
        return str(made.workflow.id)

    async def agent(self, by: Person | None = None) -> str:
        return str((await self.call(WORKFLOW + "CreateAgent", by, name=f"agent {next(numbers)}")).agent.id)

    async def execution(self) -> str:
        """One that waits for somebody, and for nothing else."""
        steps = [{"id": "asked", "approval": {"message": "Well?"}}]
        name = f"workflow {next(numbers)}"
        made = await self.call(WORKFLOW + "CreateWorkflow", name=name, definition={"steps": steps}, visibility=2)
        begun = await self.call(WORKFLOW + "ExecuteWorkflow", workflow_id=made.workflow.id)
        await until(self.world, self.owner, begun.execution.id, Kind.KIND_TASK_WAITING, "asked")
        return str(begun.execution.id)

    async def numbered(self, path: str, field_name: str, **fields: Any) -> Any:
        """What the platform or the tenant makes under a name of its own."""
        name = f"name-{next(numbers)}"
        by = self.platform if path in (MODEL + "CreateModel",) else self.owner
        return await self.call(path, by, **{field_name: name}, **fields)


numbers = count(1)
Make = Callable[[Stage], Awaitable[Attempt]]
CHANGES: dict[str, Make] = {}


def change_of(path: str) -> Callable[[Make], Make]:
    def take(make: Make) -> Make:
        CHANGES[path] = make
        return make

    return take


def by_id(stage: Stage, path: str, action: str, kind: str, object_id: str, **more: Any) -> Attempt:
    """One that names what it changes by its id alone; an id of nothing is refused."""
    tables = {"user": "users", "role": "roles", "session": "sessions", "api_key": "api_keys", "tenant": "tenants"}
    tables |= {"prompt_template": "prompt_templates", "credential": "provider_credentials"}
    tables |= {"knowledge_base": "knowledge_bases", "document": "knowledge_documents"}
    tables |= {"tenant_model": "tenant_models", "route": "model_routes", "workflow": "workflows"}
    tables |= {"execution": "workflow_executions", "agent": "agent_configs"}
    more = {"tables": (tables[kind],), **more}
    return stage.attempt(path, action, kind, {"id": object_id}, {"id": SOME_ID}, target=object_id, **more)
