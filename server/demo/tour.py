"""The chapters on tenants, people, models and their answers."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from operator import mul
from time import perf_counter

import grpc
from rich.table import Table
from rich.text import Text

from atrium.audit.v1 import audit_log_pb2
from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import api_key_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2, stream_pb2
from atrium.tenant.v1 import tenant_pb2, usage_pb2
from server.demo.agents import Agents
from server.demo.gateway import Gateway
from server.demo.library import Library
from server.demo.seals import Seals
from server.demo.stage import PASSWORD, Session, Stage, hold, refusal
from server.demo.workflows import Workflows

SENTENCES = (
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun by the window.",
    "Quarterly revenue grew by ten percent.",
    "Sales rose a tenth in the last three months.",
)
QUESTION = "In one sentence: why should each customer's data be kept apart?"


class Tour:
    """Goes through the chapters as a client would, and prints what comes back."""

    def __init__(self, stage: Stage, seals: Seals) -> None:
        self._stage = stage
        self._seals = seals
        self._out = stage.out
        self._tenants, self._identity, self._models = stage.tenants, stage.identity, stage.models

    async def run(self, username: str, password: str) -> None:
        """Every chapter in turn. Raises TourFailed where one does not hold."""
        platform = await self._stage.sign_in("platform", username, password)
        slugs = ("northwind", "globex")
        await self.two_tenants(platform, slugs)
        ada, grace = [await self._stage.sign_in(slug, "admin") for slug in slugs]
        await self.people(ada)
        await self.deleted_and_restored(ada)
        await self.key_of_a_program(ada)
        await self.plan(platform)
        await self.models(ada)
        await self.embeddings(ada)
        trace_id = await self.conversation(ada)
        await self.bill(ada, trace_id)
        shelf = await Library(self._stage).chapter(ada)
        await Agents(self._stage).chapter(ada, shelf)
        await Workflows(self._stage).chapter(ada)
        gateway = Gateway(self._stage)
        await gateway.prompts(ada)
        await gateway.routes(platform, ada)
        await gateway.money(ada)
        await self.audit_log(ada)
        await self._seals.chapter(ada)
        await self.isolation(ada, grace, trace_id)

    async def two_tenants(self, platform: Session, slugs: Sequence[str]) -> None:
        self._stage.chapter("The platform founds two tenants")
        for slug in slugs:
            administrator = tenant_pb2.CreateTenantRequest.Administrator(
                username="admin", email=f"admin@{slug}.example", password=PASSWORD
            )
            reply = await self._tenants.CreateTenant(
                tenant_pb2.CreateTenantRequest(slug=slug, name=slug.title(), administrator=administrator),
                metadata=platform.metadata,
            )
            self._out.print(f"  {reply.tenant.name:10} [dim]{reply.tenant.id}[/]  with its roles and an administrator")

    async def people(self, session: Session) -> None:
        self._stage.chapter("Its administrator signs in and adds a colleague")
        made = await self._identity.CreateUser(
            user_pb2.CreateUserRequest(username="lin", email="lin@northwind.example", full_name="Lin"),
            metadata=session.metadata,
        )
        me = await self._identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=session.metadata)
        self._out.print(f"  {session.who} holds {len(me.permissions)} permissions in the tenant")
        check = permission_pb2.CheckPermissionRequest(user_id=made.user.id, permissions=["models:read", "users:manage"])
        answer = await self._identity.CheckPermission(check, metadata=session.metadata)
        for result in answer.results:
            verdict = f"yes, as {result.role_code}" if result.allowed else "no"
            self._out.print(f"  may lin {result.permission}? {verdict}")

    async def deleted_and_restored(self, session: Session) -> None:
        self._stage.chapter("Nothing is lost by a delete")
        people, who = self._identity, {"metadata": session.metadata}
        lin = (await people.ListUsers(user_pb2.ListUsersRequest(page_size=1), **who)).users[0]
        await people.DeleteUser(user_pb2.DeleteUserRequest(id=lin.id), **who)
        gone = await refusal(people.GetUser(user_pb2.GetUserRequest(id=lin.id), **who))
        self._out.print(f"  lin is deleted, and whoever asks for them is told {gone.code().name}: {gone.details()}")
        request = user_pb2.CreateUserRequest(username="lin", email="another.lin@northwind.example")
        another = (await people.CreateUser(request, **who)).user
        taken = await refusal(people.RestoreUser(user_pb2.RestoreUserRequest(id=lin.id), **who))
        self._out.print(
            f"  their name is free; once another has it, restoring is {taken.code().name}: {taken.details()}"
        )
        await people.DeleteUser(user_pb2.DeleteUserRequest(id=another.id), **who)
        back = (await people.RestoreUser(user_pb2.RestoreUserRequest(id=lin.id), **who)).user
        roles = (await people.ListRoles(role_pb2.ListRolesRequest(user_id=back.id), **who)).roles
        self._out.print(f"  restored, they are {', '.join(role.code for role in roles)} as before")
        hold(bool(roles), "a restored user holds the roles of before")

    async def key_of_a_program(self, session: Session) -> None:
        self._stage.chapter("A program gets a key, for what it needs and no more")
        request = api_key_pb2.CreateApiKeyRequest(
            name="search", scopes=["models:execute"], allowed_models=["local-embedding"]
        )
        made = await self._identity.CreateApiKey(request, metadata=session.metadata)
        key = (("x-api-key", made.secret),)
        self._out.print(f"  {made.secret[:12]}…{made.secret[-4:]}  shown this once, kept as a hash", highlight=False)
        embed = embedding_pb2.EmbedRequest(model="local-embedding", inputs=SENTENCES[:1])
        await self._models.Embed(embed, metadata=key)
        self._out.print("  it embeds: yes")
        chat = chat_pb2.ChatRequest(
            model="local-chat", messages=[chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")]
        )
        for what, call in (
            ("chats", self._models.Chat(chat, metadata=key)),
            ("lists people", self._identity.ListUsers(user_pb2.ListUsersRequest(), metadata=key)),
        ):
            self._out.print(f"  it {what}: {(await refusal(call)).details()}")
        revoke = api_key_pb2.RevokeApiKeyRequest(id=made.api_key.id)
        await self._identity.RevokeApiKey(revoke, metadata=session.metadata)
        refused = await refusal(self._models.Embed(embed, metadata=key))
        self._out.print(f"  revoked, at once: {refused.code().name}, {refused.details()}")

    async def plan(self, platform: Session) -> None:
        self._stage.chapter("A plan has its limits, however many ask at once")
        who = tenant_pb2.CreateTenantRequest.Administrator(
            username="admin", email="admin@initech.example", password=PASSWORD
        )
        request = tenant_pb2.CreateTenantRequest(slug="initech", name="Initech", administrator=who)  # on the free plan
        await self._tenants.CreateTenant(request, metadata=platform.metadata)
        admin = await self._stage.sign_in("initech", "admin")

        async def add(number: int) -> bool:
            name = f"user-{number}"
            asked = user_pb2.CreateUserRequest(username=name, email=f"{name}@initech.example")
            try:
                await self._identity.CreateUser(asked, metadata=admin.metadata)
            except grpc.aio.AioRpcError as error:
                hold(error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "what is too much is said to be")
                return False
            return True

        made = await asyncio.gather(*(add(number) for number in range(20)))
        usage = await self._tenants.GetUsage(usage_pb2.GetUsageRequest(), metadata=admin.metadata)
        (users,) = (entry for entry in usage.usage if entry.resource == "users")
        self._out.print(f"  20 ask for an account at once: {made.count(True)} get one, {made.count(False)} are refused")
        self._out.print(f"  the tenant has {users.used} users of {users.limit}")
        hold(users.used == users.limit, "a limit is reached and never passed")

    async def models(self, session: Session) -> None:
        self._stage.chapter("The models it can call")
        reply = await self._models.ListModels(model_pb2.ListModelsRequest(), metadata=session.metadata)
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for column in ("  model", "provider", "kind", "USD per 1,000 tokens in / out"):
            table.add_column(column)
        for found in reply.models:
            provider = type(found).Provider.Name(found.provider).removeprefix("PROVIDER_").lower()
            kind = type(found).Type.Name(found.type).removeprefix("TYPE_").lower()
            price = f"{found.price.input_cost_per_1k} / {found.price.output_cost_per_1k}"
            table.add_row(f"  {found.name}", provider, kind, price)
        self._out.print(table)

    async def embeddings(self, session: Session) -> None:
        self._stage.chapter("Sentences become vectors, and related ones lie closer")
        reply = await self._models.Embed(
            embedding_pb2.EmbedRequest(model="local-embedding", inputs=SENTENCES), metadata=session.metadata
        )
        vectors = [list(embedding.values) for embedding in reply.embeddings]
        related = (_cosine(vectors[0], vectors[1]), _cosine(vectors[2], vectors[3]))
        unrelated = max(_cosine(vectors[first], vectors[second]) for first in (0, 1) for second in (2, 3))
        for index, similarity in enumerate(related):
            self._out.print(f"  {similarity:.2f}  {SENTENCES[2 * index]}  ~  {SENTENCES[2 * index + 1]}")
        self._out.print(f"  {unrelated:.2f}  at most, between the two subjects")
        hold(min(related) > unrelated, "related sentences lie closer than unrelated ones")

    async def conversation(self, session: Session) -> str:
        self._stage.chapter("A model answers, token by token, as it is generated")
        self._out.print(f"  [italic]{QUESTION}[/]")
        request = stream_pb2.StreamChatRequest(
            model="local-chat",
            messages=[chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content=QUESTION)],
            max_tokens=80,
            temperature=0.3,
            seed=7,
        )
        call = self._models.StreamChat(request, metadata=session.metadata)
        started, arrivals = perf_counter(), []
        self._out.print("  ", end="")
        async for event in call:
            if event.HasField("delta"):
                arrivals.append(perf_counter() - started)
                self._out.print(Text(event.delta.text.replace("\n", "\n  "), style="cyan"), end="")
            hold(not event.HasField("failed"), event.failed.message)
        self._out.print()
        hold(len(arrivals) > 1 and arrivals[-1] > arrivals[0], "the answer came in parts")
        self._out.print(
            f"  [dim]{len(arrivals)} parts, the first after {arrivals[0]:.2f} s, the last after {arrivals[-1]:.2f} s[/]"
        )
        trailers = dict(await call.trailing_metadata())
        return str(trailers["x-trace-id"])

    async def bill(self, session: Session, trace_id: str) -> None:
        self._stage.chapter("What the call used and cost, as it was logged")
        logs = await self._logs(session, trace_id)
        hold(len(logs) == 1, "the call is on record, once")
        log, usage = logs[0], logs[0].usage
        self._out.print(f"  tokens    {usage.prompt_tokens} in, {usage.completion_tokens} out")
        self._out.print(f"  cost      {usage.cost_usd} USD [dim](the local model is free)[/]")
        latency, first = log.latency.ToMilliseconds(), log.time_to_first_token.ToMilliseconds()
        self._out.print(f"  latency   {latency} ms, the first token after {first} ms")
        self._out.print(f"  trace id  {log.trace_id}")
        hold(usage.prompt_tokens > 0 and usage.completion_tokens > 0, "the tokens are counted, in and out")
        hold(usage.cost_usd == "0", "the cost is on record, and the local model is free")
        hold(latency >= first > 0, "the latency is measured, to the first token and to the end")
        hold(log.trace_id == trace_id, "the record names the call's trace")

    async def audit_log(self, session: Session) -> None:
        self._stage.chapter("The audit log tells who did what, and what was refused")
        log, who = self._stage.audit, {"metadata": session.metadata}
        actions = (await log.ListActions(audit_log_pb2.ListActionsRequest(), **who)).actions
        self._out.print(f"  it tells of {len(actions)} kinds of actions; of lin, oldest first:")
        lin = (await self._identity.ListUsers(user_pb2.ListUsersRequest(page_size=1), **who)).users[0]
        about_lin = audit_log_pb2.ListAuditLogsRequest(filter={"resource_type": "user", "resource_id": lin.id})
        told = list(reversed((await log.ListAuditLogs(about_lin, **who)).audit_logs))
        for entry in told:
            self._out.print(f"  {entry.create_time.ToDatetime():%H:%M:%S}  {entry.action:14} from {entry.ip_address}")
        hold([entry.action for entry in told] == ["users.create", "users.delete", "users.restore"], "all is told")
        failures = audit_log_pb2.ListAuditLogsRequest(filter={"status": audit_log_pb2.AuditLog.STATUS_FAILURE})
        refused = (await log.ListAuditLogs(failures, **who)).audit_logs
        for entry in reversed(refused):
            reason = error_reason_pb2.ErrorReason.Name(entry.error_reason).removeprefix("ERROR_REASON_")
            by = "a key" if entry.actor_kind == audit_log_pb2.AuditLog.ACTOR_KIND_API_KEY else "a user"
            self._out.print(f"  refused: {by} called {entry.action.rpartition('/')[2]}, {reason}")
        hold(len(refused) > 0, "a refusal is told")

    async def isolation(self, owner: Session, other: Session, trace_id: str) -> None:
        self._stage.chapter("The other tenant sees none of it")
        hold(len(await self._logs(owner, trace_id)) == 1, "its own tenant finds the call")
        hold(not await self._logs(other, trace_id), "the other tenant does not find the call")
        users = await self._identity.ListUsers(user_pb2.ListUsersRequest(), metadata=owner.metadata)
        texts = []
        for user_id in (users.users[0].id, "01890a5d-ac96-774b-bcce-b302099a8057"):
            try:
                await self._identity.GetUser(user_pb2.GetUserRequest(id=user_id), metadata=other.metadata)
            except grpc.aio.AioRpcError as error:
                texts.append((error.code(), error.details()))
        hold(len(texts) == 2 and texts[0] == texts[1], "another tenant's user and no user are one answer")
        self._out.print(f"  {other.who} looks for the call: nothing")
        self._out.print(f"  {other.who} asks for {owner.who}'s colleague: {texts[0][0].name}, {texts[0][1]}")
        self._out.print("  and for an id that nobody has: the same, to the letter")

    async def _logs(self, session: Session, trace_id: str) -> Sequence[call_log_pb2.CallLog]:
        reply = await self._models.ListCallLogs(
            call_log_pb2.ListCallLogsRequest(trace_id=trace_id), metadata=session.metadata
        )
        logs: Sequence[call_log_pb2.CallLog] = reply.call_logs
        return logs


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return float(sum(map(mul, a, b)) / (math.hypot(*a) * math.hypot(*b)))
