"""A running server and the people who call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2_grpc

from atrium.audit.v1 import audit_service_pb2_grpc
from atrium.identity.v1 import identity_service_pb2_grpc, role_pb2, session_pb2, user_pb2
from atrium.knowledge.v1 import knowledge_service_pb2_grpc
from atrium.model.v1 import model_service_pb2_grpc
from atrium.prompt.v1 import prompt_service_pb2_grpc
from atrium.tenant.v1 import tenant_pb2, tenant_service_pb2_grpc
from atrium.workflow.v1 import workflow_service_pb2_grpc

PASSWORD = "correct horse battery"

_numbers = count(1)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    tenant: str
    tenant_id: str
    id: str
    username: str
    tokens: Any

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.tokens.access_token}"),)


class World:
    """The server behind one channel: its stubs, and what a test needs to begin with."""

    def __init__(self, channel: grpc.aio.Channel, administrator: tuple[str, str]) -> None:
        self.channel = channel
        self.administrator = administrator
        self.tenants = tenant_service_pb2_grpc.TenantServiceStub(channel)
        self.identity = identity_service_pb2_grpc.IdentityServiceStub(channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.prompts = prompt_service_pb2_grpc.PromptServiceStub(channel)
        self.knowledge = knowledge_service_pb2_grpc.KnowledgeServiceStub(channel)
        self.workflows = workflow_service_pb2_grpc.WorkflowServiceStub(channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)
        self._platform: Person | None = None

    async def sign_in(self, slug: str, login: str, password: str = PASSWORD) -> Person:
        reply = await self.identity.Login(session_pb2.LoginRequest(tenant=slug, login=login, password=password))
        metadata = (("authorization", f"Bearer {reply.tokens.access_token}"),)
        me = await self.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata)
        return Person(slug, me.tenant_id, me.user_id, reply.user.username, reply.tokens)

    async def platform(self) -> Person:
        """The platform's first administrator."""
        if self._platform is None:
            self._platform = await self.sign_in("platform", *self.administrator)
        return self._platform

    async def tenant(self, tier: int = tenant_pb2.Tenant.TIER_ENTERPRISE) -> Person:
        """The administrator of a new tenant, without limits unless another tier is asked for."""
        slug = f"tenant-{next(_numbers)}"
        platform = await self.platform()
        who = tenant_pb2.CreateTenantRequest.Administrator(
            username="admin", email=f"admin@{slug}.example", password=PASSWORD
        )
        request = tenant_pb2.CreateTenantRequest(slug=slug, name=slug, tier=tier, administrator=who)
        await self.tenants.CreateTenant(request, metadata=platform.metadata)
        return await self.sign_in(slug, "admin")

    async def user(self, administrator: Person, *permissions: str) -> Person:
        """A new user of the tenant who holds the default role, and one with these permissions."""
        name = f"user-{next(_numbers)}"
        user = user_pb2.CreateUserRequest(username=name, email=f"{name}@example.com", password=PASSWORD)
        made = await self.identity.CreateUser(user, metadata=administrator.metadata)
        if permissions:
            await self.give(administrator, made.user.id, *permissions)
        return await self.sign_in(administrator.tenant, name)

    async def nobody(self, administrator: Person) -> Person:
        """A new user of the tenant who holds no role at all."""
        person = await self.user(administrator)
        held = await self.identity.ListRoles(
            role_pb2.ListRolesRequest(user_id=person.id), metadata=administrator.metadata
        )
        for role in held.roles:
            request = role_pb2.UnassignRoleRequest(user_id=person.id, role_id=role.id)
            await self.identity.UnassignRole(request, metadata=administrator.metadata)
        return person

    async def role(self, administrator: Person, *permissions: str, priority: int = 0, allow: bool = True) -> Any:
        """A new role of the tenant with these permissions."""
        request = role_pb2.CreateRoleRequest(name="made for a test", code=f"role_{next(_numbers)}", priority=priority)
        made = await self.identity.CreateRole(request, metadata=administrator.metadata)
        effect = role_pb2.EFFECT_ALLOW if allow else role_pb2.EFFECT_DENY
        entries = [role_pb2.RolePermission(permission=name, effect=effect) for name in permissions]
        request = role_pb2.SetRolePermissionsRequest(role_id=made.role.id, permissions=entries)
        return (await self.identity.SetRolePermissions(request, metadata=administrator.metadata)).role

    async def give(self, administrator: Person, user_id: str, *permissions: str) -> None:
        """Gives the user a new role with these permissions."""
        role = await self.role(administrator, *permissions)
        request = role_pb2.AssignRoleRequest(user_id=user_id, role_id=role.id)
        await self.identity.AssignRole(request, metadata=administrator.metadata)

    def method(self, path: str) -> Any:
        """The call of a method by its path, with one request."""
        service = {
            "Tenant": self.tenants,
            "Identity": self.identity,
            "Model": self.models,
            "Prompt": self.prompts,
            "Knowledge": self.knowledge,
            "Workflow": self.workflows,
            "Audit": self.audit,
        }
        _, name, method = path.split("/")
        call = getattr(service[name.rpartition(".")[2].removesuffix("Service")], method)
        if isinstance(call, grpc.aio.StreamUnaryMultiCallable):
            return lambda request, **more: call(iter([request]), **more)
        return call


@dataclass(frozen=True)
class Refusal:
    """What a refused call was told: the code, and the details by their type."""

    code: grpc.StatusCode
    message: str
    details: Sequence[Message]
    trailers: dict[str, Any]

    @property
    def reason(self) -> str:
        return self.detail(error_details_pb2.ErrorInfo).reason

    def detail(self, kind: Any) -> Any:
        found = [detail for detail in self.details if isinstance(detail, kind)]
        assert len(found) == 1, f"one {kind.__name__} is among {self.details}"
        return found[0]

    @property
    def fields(self) -> list[str]:
        """The fields that a malformed request was refused for."""
        return [violation.field for violation in self.detail(error_details_pb2.BadRequest).field_violations]


_DETAILS = (
    error_details_pb2.ErrorInfo,
    error_details_pb2.ResourceInfo,
    error_details_pb2.BadRequest,
    error_details_pb2.PreconditionFailure,
    error_details_pb2.QuotaFailure,
    error_details_pb2.RetryInfo,
)


async def refused(call: Any) -> Refusal:
    """The refusal of a call that must be refused. `call`: a unary call, or a stream's, under way."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return read_refusal(error)
    raise AssertionError("the call was not refused")


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    details = []
    for packed in status.details:
        for kind in _DETAILS:
            made = kind()
            if packed.Unpack(made):
                details.append(made)
    return Refusal(error.code(), error.details() or "", details, trailers)
