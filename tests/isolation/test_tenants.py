"""Tenants at work side by side, step by step at random: none ever sees or touches anything of another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from atrium.identity.v1 import api_key_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, route_pb2
from atrium.prompt.v1 import label_pb2, prompt_service_pb2, template_pb2, version_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from tests.databases import Cluster
from tests.factories.world import Person, Refusal, World, refused
from tests.isolation.sides import TABLES, Side, Tenant
from tests.servers import serving

ACTIVE, INACTIVE = user_pb2.User.STATE_ACTIVE, user_pb2.User.STATE_INACTIVE
PERMISSIONS = ["call_logs:read", "models:execute", "models:read", "roles:read", "users:read"]

# The same names in every tenant: what is unique is so within one.
NAMES = st.sampled_from(["ann", "bob", "cy", "dee"])
SIDES = st.integers(0, 1)
PICKS = st.integers(0, 999)


class Tenants(RuleBasedStateMachine):
    """Two tenants of one server. After each step both find what they made, and no row of anybody else has changed."""

    server: Side

    def __init__(self) -> None:
        super().__init__()
        self.tenants: list[Tenant] = []
        self.actor = ""
        self.before: dict[tuple[str, str], str] = {}

    @initialize()
    def found(self) -> None:
        for _ in range(2):
            administrator = self.server.run(self.server.world.tenant())
            found = self.server.run(self._look(administrator))
            defaults = {role.id for role in self._roles_of(administrator) if role.default}
            found.default_roles = frozenset(defaults)
            self.tenants.append(found)
        self.before = self.server.rows()

    def _roles_of(self, administrator: Person) -> list[Any]:
        request = role_pb2.ListRolesRequest()
        reply = self.server.run(self.server.world.identity.ListRoles(request, metadata=administrator.metadata))
        return list(reply.roles)

    async def _look(self, administrator: Person) -> Tenant:
        """Everything that the tenant is shown."""
        world, who = self.server.world, {"metadata": administrator.metadata}
        users = (await world.identity.ListUsers(user_pb2.ListUsersRequest(page_size=1000), **who)).users
        roles = (await world.identity.ListRoles(role_pb2.ListRolesRequest(page_size=1000), **who)).roles
        logs = (await world.models.ListCallLogs(call_log_pb2.ListCallLogsRequest(page_size=1000), **who)).call_logs
        config = (await world.tenants.GetTenantConfig(tenant_config_pb2.GetTenantConfigRequest(), **who)).config
        own = (await world.tenants.GetTenant(tenant_pb2.GetTenantRequest(), **who)).tenant
        templates = (await world.prompts.ListTemplates(template_pb2.ListTemplatesRequest(), **who)).templates
        routes = (await world.models.ListRoutes(route_pb2.ListRoutesRequest(), **who)).routes
        held = {}
        for user in users:
            request = role_pb2.ListRolesRequest(user_id=user.id)
            held[user.id] = frozenset(role.id for role in (await world.identity.ListRoles(request, **who)).roles)
        assert (own.id, config.tenant_id) == (administrator.tenant_id, administrator.tenant_id)
        return Tenant(
            administrator,
            {user.id: (user.username, user.full_name, user.state) for user in users},
            {role.id: (role.code, role.name, frozenset(p.permission for p in role.permissions)) for role in roles},
            held,
            [log.id for log in reversed(logs)],
            (config.temperature, config.max_tokens_per_request),
            templates={template.id: (template.name, template.current_version) for template in templates},
            routes={route.id: route.alias for route in routes},
        )

    def _call(self, side: int, method: Any, request: Any) -> Any:
        """The reply to the tenant's administrator, who claims in passing to be of the other tenant."""
        return self.server.run(method(request, metadata=self._acting(side)))

    def _refused_calls(self, side: int) -> list[str]:
        """The records of calls that were refused since: a call with another's prompt is on the caller's own record."""
        logs = self._call(
            side, self.server.world.models.ListCallLogs, call_log_pb2.ListCallLogsRequest(page_size=1000)
        ).call_logs
        new = [log for log in reversed(logs) if log.id not in self.tenants[side].calls]
        assert {log.status for log in new} <= {call_log_pb2.CallLog.STATUS_ERROR}
        assert len(new) <= 1
        return [log.id for log in new]

    def _refused(self, side: int, method: Any, request: Any) -> Refusal:
        return self.server.run(refused(method(request, metadata=self._acting(side))))

    def _acting(self, side: int) -> tuple[tuple[str, str], ...]:
        self.actor = self.tenants[side].administrator.tenant_id
        other = self.tenants[1 - side].administrator.tenant_id
        return (*self.tenants[side].administrator.metadata, ("x-tenant-id", other))

    @rule(side=SIDES, name=NAMES)
    def create_user(self, side: int, name: str) -> None:
        own = self.tenants[side]
        request = user_pb2.CreateUserRequest(username=name, email=f"{name}@example.com")
        if name in {username for username, *_ in own.users.values()}:
            refusal = self._refused(side, self.server.world.identity.CreateUser, request)
            assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        else:
            made = self._call(side, self.server.world.identity.CreateUser, request).user
            own.users[made.id] = (name, "", ACTIVE)
            own.held[made.id] = own.default_roles

    @rule(side=SIDES, pick=PICKS, full_name=NAMES, state=st.sampled_from([ACTIVE, INACTIVE]))
    def update_user(self, side: int, pick: int, full_name: str, state: int) -> None:
        own = self.tenants[side]
        user_id = _picked(own.users, pick)
        if user_id == own.administrator.id:
            state = ACTIVE
        request = user_pb2.UpdateUserRequest(id=user_id, full_name=full_name, state=state)
        self._call(side, self.server.world.identity.UpdateUser, request)
        own.users[user_id] = (own.users[user_id][0], full_name, state)

    @rule(side=SIDES, pick=PICKS)
    def delete_user(self, side: int, pick: int) -> None:
        own = self.tenants[side]
        user_id = _picked(own.users, pick)
        request = user_pb2.DeleteUserRequest(id=user_id)
        if user_id == own.administrator.id:
            assert self._refused(side, self.server.world.identity.DeleteUser, request).reason == "LAST_ADMINISTRATOR"
        else:
            self._call(side, self.server.world.identity.DeleteUser, request)
            own.deleted[user_id] = (own.users.pop(user_id), own.held.pop(user_id))

    @rule(side=SIDES, pick=PICKS)
    def restore_user(self, side: int, pick: int) -> None:
        own = self.tenants[side]
        if not own.deleted:
            return
        user_id = _picked(own.deleted, pick)
        request = user_pb2.RestoreUserRequest(id=user_id)
        if own.deleted[user_id][0][0] in {username for username, *_ in own.users.values()}:
            refusal = self._refused(side, self.server.world.identity.RestoreUser, request)
            assert refusal.code is grpc.StatusCode.ALREADY_EXISTS
        else:
            self._call(side, self.server.world.identity.RestoreUser, request)
            own.users[user_id], own.held[user_id] = own.deleted.pop(user_id)

    @rule(side=SIDES, scope=st.sampled_from(PERMISSIONS))
    def call_with_a_key(self, side: int, scope: str) -> None:
        """A key of one tenant's, which claims to be of the other, finds its own."""
        own, people = self.tenants[side], self.server.world.identity
        made = self._call(side, people.CreateApiKey, api_key_pb2.CreateApiKeyRequest(name="key", scopes=[scope]))
        metadata = (("x-api-key", made.secret), ("x-tenant-id", self.tenants[1 - side].administrator.tenant_id))
        me = self.server.run(people.WhoAmI(session_pb2.WhoAmIRequest(), metadata=metadata))
        assert (me.tenant_id, me.user_id) == (own.administrator.tenant_id, own.administrator.id)
        own.keys.append(made.api_key.id)
        while (
            not self._call(side, people.ListApiKeys, api_key_pb2.ListApiKeysRequest())
            .api_keys[0]
            .HasField("last_use_time")
        ):
            pass  # it is noted after the call, and must not be taken for another step's

    @rule(side=SIDES, code=NAMES)
    def create_role(self, side: int, code: str) -> None:
        own = self.tenants[side]
        request = role_pb2.CreateRoleRequest(name="Made", code=code)
        if code in {known for known, *_ in own.roles.values()}:
            assert self._refused(side, self.server.world.identity.CreateRole, request).reason == "ROLE_CODE_TAKEN"
        else:
            made = self._call(side, self.server.world.identity.CreateRole, request).role
            own.roles[made.id] = (code, "Made", frozenset())
            own.made.append(made.id)

    @rule(side=SIDES, pick=PICKS, name=NAMES, permissions=st.sets(st.sampled_from(PERMISSIONS)))
    def change_role(self, side: int, pick: int, name: str, permissions: set[str]) -> None:
        own = self.tenants[side]
        if not own.made:
            return
        role_id = own.made[pick % len(own.made)]
        self._call(side, self.server.world.identity.UpdateRole, role_pb2.UpdateRoleRequest(id=role_id, name=name))
        entries = [role_pb2.RolePermission(permission=it, effect=role_pb2.EFFECT_ALLOW) for it in sorted(permissions)]
        request = role_pb2.SetRolePermissionsRequest(role_id=role_id, permissions=entries)
        self._call(side, self.server.world.identity.SetRolePermissions, request)
        own.roles[role_id] = (own.roles[role_id][0], name, frozenset(permissions))

    @rule(side=SIDES, user=PICKS, role=PICKS)
    def assign_or_unassign(self, side: int, user: int, role: int) -> None:
        own = self.tenants[side]
        if not own.made:
            return
        user_id, role_id = _picked(own.users, user), own.made[role % len(own.made)]
        ids = {"user_id": user_id, "role_id": role_id}
        if role_id in own.held[user_id]:
            self._call(side, self.server.world.identity.UnassignRole, role_pb2.UnassignRoleRequest(**ids))
        else:
            self._call(side, self.server.world.identity.AssignRole, role_pb2.AssignRoleRequest(**ids))
        own.held[user_id] ^= {role_id}

    @rule(side=SIDES, text=NAMES)
    def embed(self, side: int, text: str) -> None:
        request = embedding_pb2.EmbedRequest(model="local-embedding", inputs=[text])
        reply = self._call(side, self.server.world.models.Embed, request)
        self.tenants[side].calls.append(reply.call_log_id)

    @rule(side=SIDES, name=NAMES)
    def create_template(self, side: int, name: str) -> None:
        own, prompts = self.tenants[side], self.server.world.prompts
        request = template_pb2.CreateTemplateRequest(name=name, visibility=template_pb2.VISIBILITY_TENANT)
        if name in {known for known, _ in own.templates.values()}:
            assert self._refused(side, prompts.CreateTemplate, request).reason == "TEMPLATE_NAME_TAKEN"
        else:
            own.templates[self._call(side, prompts.CreateTemplate, request).template.id] = (name, "")

    @rule(side=SIDES, pick=PICKS, text=NAMES)
    def create_version(self, side: int, pick: int, text: str) -> None:
        own, prompts = self.tenants[side], self.server.world.prompts
        if not own.templates:
            return
        template_id = _picked(own.templates, pick)
        request = version_pb2.CreateVersionRequest(template_id=template_id, text=text)
        made = self._call(side, prompts.CreateVersion, request).version
        own.templates[template_id] = (own.templates[template_id][0], made.version)
        target = label_pb2.LabelTarget(version=made.version)
        label = label_pb2.SetLabelRequest(template_id=template_id, label="production", targets=[target])
        self._call(side, prompts.SetLabel, label)
        found = self._call(side, prompts.GetVersion, version_pb2.GetVersionRequest(template_id=template_id))
        assert found.version.text == text

    @rule(side=SIDES, alias=NAMES)
    def create_or_delete_route(self, side: int, alias: str) -> None:
        own, models = self.tenants[side], self.server.world.models
        for route_id, known in own.routes.items():
            if known == alias:
                self._call(side, models.DeleteRoute, route_pb2.DeleteRouteRequest(id=route_id))
                del own.routes[route_id]
                return
        request = route_pb2.CreateRouteRequest(alias=alias, targets=[{"model": "local-chat"}])
        own.routes[self._call(side, models.CreateRoute, request).route.id] = alias

    @rule(side=SIDES, temperature=st.sampled_from([0.0, 0.5, 1.5]), most=st.integers(1, 4096))
    def update_config(self, side: int, temperature: float, most: int) -> None:
        request = tenant_config_pb2.UpdateTenantConfigRequest(temperature=temperature, max_tokens_per_request=most)
        self._call(side, self.server.world.tenants.UpdateTenantConfig, request)
        self.tenants[side].config = (temperature, most)

    @rule(side=SIDES, user=PICKS, role=PICKS, own_user=PICKS, own_role=PICKS)
    def reach_over(self, side: int, user: int, role: int, own_user: int, own_role: int) -> None:
        """Every method that takes an id is given one of the other tenant's."""
        own, other = self.tenants[side], self.tenants[1 - side]
        users, theirs = self.server.world.identity, other.administrator.tenant_id
        tenants, prompts, models = self.server.world.tenants, self.server.world.prompts, self.server.world.models
        user_id, role_id = _picked(other.users, user), _picked(other.roles, role)
        own_user_id, own_role_id = _picked(own.users, own_user), _picked(own.roles, own_role)
        attempts: list[tuple[Callable[..., Any], Any]] = [
            (users.GetUser, user_pb2.GetUserRequest(id=user_id)),
            (users.UpdateUser, user_pb2.UpdateUserRequest(id=user_id, full_name="Mallory")),
            (users.ListRoles, role_pb2.ListRolesRequest(user_id=user_id)),
            (users.CheckPermission, permission_pb2.CheckPermissionRequest(user_id=user_id, permissions=["users:read"])),
            (users.GetRole, role_pb2.GetRoleRequest(id=role_id)),
            (users.UpdateRole, role_pb2.UpdateRoleRequest(id=role_id, name="Mallory")),
            (users.SetRolePermissions, role_pb2.SetRolePermissionsRequest(role_id=role_id)),
            (users.AssignRole, role_pb2.AssignRoleRequest(user_id=user_id, role_id=role_id)),
            (users.AssignRole, role_pb2.AssignRoleRequest(user_id=user_id, role_id=own_role_id)),
            (users.AssignRole, role_pb2.AssignRoleRequest(user_id=own_user_id, role_id=role_id)),
            (users.UnassignRole, role_pb2.UnassignRoleRequest(user_id=user_id, role_id=role_id)),
            (users.UnassignRole, role_pb2.UnassignRoleRequest(user_id=own_user_id, role_id=role_id)),
            (users.DeleteUser, user_pb2.DeleteUserRequest(id=user_id)),
            (users.RestoreUser, user_pb2.RestoreUserRequest(id=user_id)),
            (users.LockUser, user_pb2.LockUserRequest(id=user_id)),
            (users.UnlockUser, user_pb2.UnlockUserRequest(id=user_id)),
            (users.DeleteRole, role_pb2.DeleteRoleRequest(id=role_id)),
            (users.RestoreRole, role_pb2.RestoreRoleRequest(id=role_id)),
            (users.ListSessions, session_pb2.ListSessionsRequest(user_id=user_id)),
            (users.ListApiKeys, api_key_pb2.ListApiKeysRequest(user_id=user_id)),
            (users.CreateApiKey, api_key_pb2.CreateApiKeyRequest(name="k", user_id=user_id, scopes=["users:read"])),
            *((users.RotateApiKey, api_key_pb2.RotateApiKeyRequest(id=key)) for key in other.keys[-1:]),
            *((users.RevokeApiKey, api_key_pb2.RevokeApiKeyRequest(id=key)) for key in other.keys[-1:]),
            *(
                attempt
                for template_id in sorted(other.templates)[-1:]
                for attempt in (
                    (prompts.GetTemplate, template_pb2.GetTemplateRequest(id=template_id)),
                    (prompts.DeleteTemplate, template_pb2.DeleteTemplateRequest(id=template_id)),
                    (prompts.CreateVersion, version_pb2.CreateVersionRequest(template_id=template_id, text="Mallory")),
                    (prompts.ListVersions, version_pb2.ListVersionsRequest(template_id=template_id)),
                    (prompts.ListLabels, label_pb2.ListLabelsRequest(template_id=template_id)),
                    (prompts.RenderPrompt, prompt_service_pb2.RenderPromptRequest(template_id=template_id)),
                    (models.Chat, chat_pb2.ChatRequest(model="local-chat", prompt={"template_id": template_id})),
                )
            ),
            *((models.GetRoute, route_pb2.GetRouteRequest(id=route_id)) for route_id in sorted(other.routes)[-1:]),
            *(
                (models.DeleteRoute, route_pb2.DeleteRouteRequest(id=route_id))
                for route_id in sorted(other.routes)[-1:]
            ),
            (tenants.GetTenant, tenant_pb2.GetTenantRequest(id=theirs)),
            (tenants.UpdateTenant, tenant_pb2.UpdateTenantRequest(id=theirs, name="Mallory")),
            (tenants.GetTenantConfig, tenant_config_pb2.GetTenantConfigRequest(tenant_id=theirs)),
            (
                tenants.UpdateTenantConfig,
                tenant_config_pb2.UpdateTenantConfigRequest(tenant_id=theirs, temperature=2.0),
            ),
        ]
        for method, request in attempts:
            refusal = self._refused(side, method, request)
            assert refusal.code is grpc.StatusCode.NOT_FOUND, request
        own.calls += self._refused_calls(side)
        logs = self._call(
            side, self.server.world.models.ListCallLogs, call_log_pb2.ListCallLogsRequest(user_id=user_id)
        )
        assert not logs.call_logs

    @rule(side=SIDES)
    def continue_their_list(self, side: int) -> None:
        request = role_pb2.ListRolesRequest(page_size=1)
        token = self._call(1 - side, self.server.world.identity.ListRoles, request).next_page_token
        following = role_pb2.ListRolesRequest(page_size=1, page_token=token)
        assert self._refused(side, self.server.world.identity.ListRoles, following).reason == "PAGE_TOKEN_INVALID"

    @invariant()
    def each_finds_what_is_its_own_and_nothing_else(self) -> None:
        for own in self.tenants:
            seen = self.server.run(self._look(own.administrator))
            for what in ("users", "roles", "held", "calls", "config", "templates", "routes"):
                assert getattr(seen, what) == getattr(own, what), what

    @invariant()
    def no_row_of_anybody_else_has_changed(self) -> None:
        after = self.server.rows()
        changed = {key for key in self.before.keys() | after.keys() if self.before.get(key) != after.get(key)}
        assert {tenant_id for tenant_id, _ in changed} <= {self.actor}, changed
        self.before = after


def _picked(objects: dict[str, Any], pick: int) -> str:
    return sorted(objects)[pick % len(objects)]


@asynccontextmanager
async def _running(postgres: Cluster) -> AsyncIterator[tuple[World, Any, list[tuple[str, str]]]]:
    async with AsyncExitStack() as stack:
        scratch = await stack.enter_async_context(postgres.clone())
        admin = await stack.enter_async_context(scratch.connect())
        app, port = await stack.enter_async_context(serving(scratch.settings()))
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        world = World(channel, administrator)
        await world.platform()
        yield world, admin, [tuple(row) for row in await admin.fetch(TABLES)]


@pytest.fixture
def server(postgres: Cluster) -> Iterator[Side]:
    # Hypothesis is no coroutine: the loop of the server runs whenever one of its steps waits for an answer.
    with asyncio.Runner() as runner:
        running = _running(postgres)
        world, admin, tables = runner.run(running.__aenter__())
        try:
            yield Side(runner, world, admin, tables)
        finally:
            runner.run(running.__aexit__(None, None, None))


def test_tenants_never_meet(server: Side) -> None:
    class OnServer(Tenants):
        pass

    OnServer.server = server
    # Other steps each time: what fails is printed as the steps that led to it, and with its seed.
    # Not shrunk: fifteen steps are few enough to read, and each run of them takes seconds.
    bounded = settings(
        max_examples=10,
        stateful_step_count=15,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate],
    )

    run_state_machine_as_test(OnServer, settings=bounded)
