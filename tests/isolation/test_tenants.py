"""Tenants at work side by side, step by step at random: none ever sees or touches anything of another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, run_state_machine_as_test
from pydantic import SecretStr

from atrium.audit.v1 import audit_log_pb2
from atrium.identity.v1 import role_pb2
from atrium.knowledge.v1 import knowledge_base_pb2, search_pb2
from atrium.model.v1 import call_log_pb2
from atrium.tenant.v1 import tenant_config_pb2
from atrium.workflow.v1 import execution_pb2, workflow_pb2
from tests.databases import Cluster
from tests.factories.models import make_model
from tests.factories.world import World
from tests.fakes.openai_stub import OpenAIStub
from tests.isolation.contents import Contents
from tests.isolation.machine import PICKS, SIDES, picked
from tests.isolation.people import People
from tests.isolation.sides import NOBODY, SHOWN, TABLES, Side
from tests.isolation.work import SHARED_MODEL, Work
from tests.rpc.by_id import BY_ID
from tests.servers import serving


class Tenants(People, Work, Contents):
    """Two tenants of one server. After each step both find what they made, and no row of anybody else has changed."""

    @initialize()
    def found(self) -> None:
        for _ in range(2):
            administrator = self.server.run(self.server.world.tenant())
            found = self.look(administrator)
            roles = role_pb2.ListRolesRequest()
            reply = self.server.run(self.server.world.identity.ListRoles(roles, metadata=administrator.metadata))
            found.default_roles = frozenset(role.id for role in reply.roles if role.default)
            self.tenants.append(found)
        for side in range(2):
            self._make_one_of_each_kind(side)
        self.server.written()
        self.before = self.server.rows()
        shared = {table for whose, table in self.before if whose == NOBODY}
        assert {"models", "model_prices", "permissions", "signing_keys"} <= shared

    def _make_one_of_each_kind(self, side: int) -> None:
        """There is something to reach over for from the first step on."""
        self.create_user(side=side, name="ann")
        self.create_role(side=side, code="ann")
        self.sign_in(side=side)
        self.call_with_a_key(side=side, scope="users:read")
        self.create_or_change_credential(side=side, name="ann", rotated=False)
        self.create_or_change_model(side=side, name="own-ann", description="ann", deleted=False)
        self.create_or_delete_route(side=side, alias="ann")
        self.set_or_delete_limits(side=side, most=1000)
        self.create_template(side=side, name="ann")
        self.create_version(side=side, pick=0, text="ann")
        self.create_base(side=side, name="ann")
        self.create_workflow(side=side, name="ann")
        self.create_agent(side=side, name="ann")
        self.stream_from_a_shared_model(side=side, resumable=True)
        self.ingest(side=side, pick=0, text="ann")
        self.start_upload(side=side, pick=0)
        self.execute_workflow(side=side, pick=0)
        self.read_the_log(side=side)
        objects = self.tenants[side].objects()
        assert objects.keys() == BY_ID.keys()
        assert all(objects.values())

    @rule(side=SIDES, temperature=st.sampled_from([0.0, 0.5, 1.5]), most=st.integers(1, 4096))
    def update_config(self, side: int, temperature: float, most: int) -> None:
        request = tenant_config_pb2.UpdateTenantConfigRequest(temperature=temperature, max_tokens_per_request=most)
        self.call(side, self.server.world.tenants.UpdateTenantConfig, request)
        self.tenants[side].config = (temperature, most)

    @rule(side=SIDES, pick=PICKS)
    def reach_over(self, side: int, pick: int) -> None:
        """Every method that takes an id is given one of the other tenant's, of each kind that it has."""
        own, world = self.tenants[side], self.server.world
        for kind, ids in self.tenants[1 - side].objects().items():
            for path, make in BY_ID[kind].items() if ids else ():
                request = make(picked(ids, pick))
                assert self.refused(side, world.method(path), request).code is grpc.StatusCode.NOT_FOUND, path
        refused = self.recorded(side, call_log_pb2.CallLog.STATUS_ERROR)
        assert len(refused) <= 2, "a call with another's prompt is on the caller's own record"
        own.calls += refused

    @rule(side=SIDES, own_is_user=st.booleans(), own_pick=PICKS, pick=PICKS)
    def assign_over(self, side: int, own_is_user: bool, own_pick: int, pick: int) -> None:
        """A role and a user of whom one is the other tenant's."""
        people, own, other = self.server.world.identity, self.tenants[side], self.tenants[1 - side]
        user = picked(own.users, own_pick) if own_is_user else picked(other.users, pick)
        role = picked(other.roles, pick) if own_is_user else picked(own.roles, own_pick)
        for method, make in (
            (people.AssignRole, role_pb2.AssignRoleRequest),
            (people.UnassignRole, role_pb2.UnassignRoleRequest),
        ):
            refusal = self.refused(side, method, make(user_id=user, role_id=role))
            assert refusal.code is grpc.StatusCode.NOT_FOUND

    @rule(side=SIDES, pick=PICKS)
    def filter_by_theirs(self, side: int, pick: int) -> None:
        user_id = picked(self.tenants[1 - side].users, pick)
        calls = call_log_pb2.ListCallLogsRequest(user_id=user_id)
        assert not self.call(side, self.server.world.models.ListCallLogs, calls).call_logs
        bases = knowledge_base_pb2.ListKnowledgeBasesRequest(owner_user_id=user_id)
        assert not self.call(side, self.server.world.knowledge.ListKnowledgeBases, bases).knowledge_bases
        workflows = workflow_pb2.ListWorkflowsRequest(owner_user_id=user_id)
        assert not self.call(side, self.server.world.workflows.ListWorkflows, workflows).workflows
        executions = execution_pb2.ListExecutionsRequest(
            workflow_id=picked(self.tenants[1 - side].executions.values(), pick)
        )
        assert not self.call(side, self.server.world.workflows.ListExecutions, executions).executions
        asked = search_pb2.ListQueryLogsRequest(user_id=user_id)
        assert not self.call(side, self.server.world.knowledge.ListQueryLogs, asked).query_logs
        changes = audit_log_pb2.ListAuditLogsRequest(filter={"user_id": user_id})
        assert not self.call(side, self.server.world.audit.ListAuditLogs, changes).audit_logs

    @rule(side=SIDES)
    def continue_their_list(self, side: int) -> None:
        request = role_pb2.ListRolesRequest(page_size=1)
        token = self.call(1 - side, self.server.world.identity.ListRoles, request).next_page_token
        following = role_pb2.ListRolesRequest(page_size=1, page_token=token)
        assert self.refused(side, self.server.world.identity.ListRoles, following).reason == "PAGE_TOKEN_INVALID"

    @invariant()
    def each_finds_what_is_its_own_and_nothing_else(self) -> None:
        for own in self.tenants:
            seen = self.look(own.administrator)
            for what in SHOWN:
                assert getattr(seen, what) == getattr(own, what), what

    @invariant()
    def no_row_of_anybody_else_has_changed(self) -> None:
        self.server.written()
        after = self.server.rows()
        changed = {key for key in self.before.keys() | after.keys() if self.before.get(key) != after.get(key)}
        assert {tenant_id for tenant_id, _ in changed} <= {self.actor}, changed
        self.before = after


@asynccontextmanager
async def _running(postgres: Cluster, runner: asyncio.Runner) -> AsyncIterator[Side]:
    async with AsyncExitStack() as stack:
        scratch = await stack.enter_async_context(postgres.clone())
        admin = await stack.enter_async_context(scratch.connect())
        stub = await stack.enter_async_context(OpenAIStub())
        settings = scratch.settings(provider_keys={stub.base_url: SecretStr("")}, private_model_addresses=True)
        app, port = await stack.enter_async_context(serving(settings))
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        world = World(channel, administrator)
        await make_model(world, stub.base_url, SHARED_MODEL, usd=0)
        yield Side(runner, world, stub, admin, [tuple(row) for row in await admin.fetch(TABLES)])


@pytest.fixture
def server(postgres: Cluster) -> Iterator[Side]:
    # Hypothesis is no coroutine: the loop of the server runs whenever one of its steps waits for an answer.
    with asyncio.Runner() as runner:
        running = _running(postgres, runner)
        side = runner.run(running.__aenter__())
        try:
            yield side
        finally:
            runner.run(running.__aexit__(None, None, None))


def test_tenants_never_meet(server: Side) -> None:
    class OnServer(Tenants):
        pass

    OnServer.server = server
    # Other steps each time: what fails is printed as the steps that led to it, and with its seed.
    # Not shrunk: fifteen steps are few enough to read, and each run of them takes seconds.
    bounded = settings(
        max_examples=8,
        stateful_step_count=15,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate],
    )

    run_state_machine_as_test(OnServer, settings=bounded)
