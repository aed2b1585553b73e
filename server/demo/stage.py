"""What the chapters stand on: who is signed in, what is printed, and what must hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
from rich.console import Console

from atrium.audit.v1 import audit_service_pb2_grpc as audit_grpc
from atrium.identity.v1 import identity_service_pb2_grpc as identity_grpc
from atrium.identity.v1 import session_pb2
from atrium.knowledge.v1 import knowledge_service_pb2_grpc as knowledge_grpc
from atrium.model.v1 import model_service_pb2_grpc as model_grpc
from atrium.prompt.v1 import prompt_service_pb2_grpc as prompt_grpc
from atrium.tenant.v1 import tenant_service_pb2_grpc as tenant_grpc
from atrium.workflow.v1 import workflow_service_pb2_grpc as workflow_grpc
from server.kernel.refusal import CommandRefused

PASSWORD = "a password for the tour"


class TourFailed(CommandRefused):
    """Something was not as the tour says it is."""


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in person, and the metadata that says who they are."""

    who: str
    metadata: tuple[tuple[str, str], ...]


class Stage:
    """The services as a client has them, and the console."""

    def __init__(self, channel: grpc.aio.Channel, console: Console) -> None:
        self.out = console
        self.tenants: Any = tenant_grpc.TenantServiceStub(channel)
        self.identity: Any = identity_grpc.IdentityServiceStub(channel)
        self.models: Any = model_grpc.ModelServiceStub(channel)
        self.prompts: Any = prompt_grpc.PromptServiceStub(channel)
        self.knowledge: Any = knowledge_grpc.KnowledgeServiceStub(channel)
        self.workflows: Any = workflow_grpc.WorkflowServiceStub(channel)
        self.audit: Any = audit_grpc.AuditServiceStub(channel)
        self._chapters = 0

    async def sign_in(self, slug: str, login: str, password: str = PASSWORD) -> Session:
        reply = await self.identity.Login(session_pb2.LoginRequest(tenant=slug, login=login, password=password))
        return Session(f"{login}@{slug}", (("authorization", f"Bearer {reply.tokens.access_token}"),))

    def chapter(self, title: str) -> None:
        self._chapters += 1
        self.out.print()
        self.out.rule(f"[bold]{self._chapters}. {title}", align="left")


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    """How the call is refused. Raises TourFailed where it is not."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error
    raise TourFailed("does not hold: a call is refused")


def hold(holds: bool, what: str) -> None:
    """Raises TourFailed where it does not."""
    if not holds:
        raise TourFailed(f"does not hold: {what}")
