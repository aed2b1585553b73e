"""The two tenants of one server, and what each of them finds when it looks."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from atrium.identity.v1 import api_key_pb2, role_pb2, session_pb2, user_pb2
from atrium.knowledge.v1 import document_pb2, knowledge_base_pb2
from atrium.model.v1 import call_log_pb2, credential_pb2, route_pb2, tenant_model_pb2, usage_pb2
from atrium.prompt.v1 import template_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from atrium.workflow.v1 import agent_pb2, execution_pb2, workflow_pb2
from tests.factories.world import Person, Refusal, refused
from tests.isolation.sides import Side, Tenant

PERMISSIONS = ["call_logs:read", "models:execute", "models:read", "roles:read", "users:read"]

# The same names in every tenant: what is unique is so within one.
NAMES = st.sampled_from(["ann", "bob", "cy", "dee"])
SIDES = st.integers(0, 1)
PICKS = st.integers(0, 999)


class Machine(RuleBasedStateMachine):
    """What the rules go by: the tenants, who acts in this step, and calls in a tenant's name."""

    server: Side

    def __init__(self) -> None:
        super().__init__()
        self.tenants: list[Tenant] = []
        self.actor = ""
        self.before: dict[tuple[str, str], str] = {}

    def look(self, administrator: Person) -> Tenant:
        """Everything that the tenant is shown."""
        return self.server.run(self._look(administrator))

    async def _look(self, administrator: Person) -> Tenant:
        world, who = self.server.world, {"metadata": administrator.metadata}
        (
            (users, roles, sessions, keys),
            (logs, routes, models, limits, credentials),
            (config, own, templates, bases, workflows, executions, agents),
        ) = [
            await asyncio.gather(*calls)
            for calls in (
                (
                    world.identity.ListUsers(user_pb2.ListUsersRequest(page_size=1000), **who),
                    world.identity.ListRoles(role_pb2.ListRolesRequest(page_size=1000), **who),
                    world.identity.ListSessions(session_pb2.ListSessionsRequest(page_size=1000), **who),
                    world.identity.ListApiKeys(api_key_pb2.ListApiKeysRequest(page_size=1000), **who),
                ),
                (
                    world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(page_size=1000), **who),
                    world.models.ListRoutes(route_pb2.ListRoutesRequest(), **who),
                    world.models.ListTenantModels(tenant_model_pb2.ListTenantModelsRequest(), **who),
                    world.models.ListModelLimits(usage_pb2.ListModelLimitsRequest(), **who),
                    world.models.ListCredentials(credential_pb2.ListCredentialsRequest(), **who),
                ),
                (
                    world.tenants.GetTenantConfig(tenant_config_pb2.GetTenantConfigRequest(), **who),
                    world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), **who),
                    world.prompts.ListTemplates(template_pb2.ListTemplatesRequest(), **who),
                    world.knowledge.ListKnowledgeBases(knowledge_base_pb2.ListKnowledgeBasesRequest(), **who),
                    world.workflows.ListWorkflows(workflow_pb2.ListWorkflowsRequest(), **who),
                    world.workflows.ListExecutions(execution_pb2.ListExecutionsRequest(page_size=1000), **who),
                    world.workflows.ListAgents(agent_pb2.ListAgentsRequest(), **who),
                ),
            )
        ]
        held = await asyncio.gather(
            *(world.identity.ListRoles(role_pb2.ListRolesRequest(user_id=user.id), **who) for user in users.users)
        )
        contents = await asyncio.gather(
            *(
                world.knowledge.ListDocuments(document_pb2.ListDocumentsRequest(knowledge_base_id=base.id), **who)
                for base in bases.knowledge_bases
            )
        )
        assert (own.tenant.id, config.config.tenant_id) == (administrator.tenant_id, administrator.tenant_id)
        return Tenant(
            administrator,
            {user.id: (user.username, user.full_name, user.state) for user in users.users},
            {
                role.id: (role.code, role.name, frozenset(entry.permission for entry in role.permissions))
                for role in roles.roles
            },
            {user.id: frozenset(role.id for role in its.roles) for user, its in zip(users.users, held, strict=True)},
            [log.id for log in reversed(logs.call_logs)],
            (config.config.temperature, config.config.max_tokens_per_request),
            keys=[key.id for key in reversed(keys.api_keys)],
            templates={template.id: (template.name, template.current_version) for template in templates.templates},
            bases={base.id: (base.name, base.state) for base in bases.knowledge_bases},
            documents={
                document.id: (document.knowledge_base_id, document.title)
                for its in contents
                for document in its.documents
            },
            workflows={workflow.id: (workflow.name, workflow.version) for workflow in workflows.workflows},
            executions={execution.id: execution.workflow_id for execution in executions.executions},
            agents={agent.id: (agent.name, agent.agent_type) for agent in agents.agents},
            routes={route.id: route.alias for route in routes.routes},
            sessions={session.id for session in sessions.sessions if not session.HasField("revoke_time")},
            models={model.id: (model.name, model.description) for model in models.models},
            credentials={credential.id: credential.name for credential in credentials.credentials},
            limits={limits.id: (limits.user_id, limits.requests_per_minute) for limits in limits.limits},
        )

    def call(self, side: int, method: Any, request: Any) -> Any:
        """The reply to the tenant's administrator, who claims in passing to be of the other tenant."""
        return self.server.run(method(request, metadata=self.acting(side)))

    def refused(self, side: int, method: Any, request: Any) -> Refusal:
        """The refusal of the same, which must be refused."""
        return self.server.run(refused(method(request, metadata=self.acting(side))))

    def recorded(self, side: int, status: int) -> list[str]:
        """The records, oldest first, of calls of models since the last that is known, which must have this status."""
        request = call_log_pb2.ListCallLogsRequest(page_size=1000)
        logs = self.call(side, self.server.world.models.ListCallLogs, request).call_logs
        new = [log for log in reversed(logs) if log.id not in self.tenants[side].calls]
        assert {log.status for log in new} <= {status}
        return [log.id for log in new]

    def acting(self, side: int, tokens: Any = None) -> tuple[tuple[str, str], ...]:
        """What the tenant's administrator sends beside a request, with these tokens or those of the first sign-in."""
        own, other = self.tenants[side].administrator, self.tenants[1 - side].administrator
        self.actor = own.tenant_id
        bearer = (("authorization", f"Bearer {tokens.access_token}"),) if tokens else own.metadata
        return (*bearer, ("x-tenant-id", other.tenant_id))


def picked(objects: Any, pick: int) -> str:
    """One of the objects' ids."""
    return str(sorted(objects)[pick % len(objects)])
