"""The chapters on prompts, routes and money."""

from __future__ import annotations

import asyncio

import grpc

from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import session_pb2
from atrium.model.v1 import call_log_pb2, chat_pb2, embedding_pb2, model_pb2, route_pb2, usage_pb2
from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompt
from server.demo.stage import Session, Stage, hold

NOBODY = "http://127.0.0.1:9/v1"
"""An address on this machine where nobody answers."""

VERSIONS = (
    "Write a short greeting to {{ name }}.",
    "Write a short poem for {{ name }}.",
)


class Gateway:
    """Goes through the chapters as a client would, and prints what comes back."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._out = stage.out
        self._models, self._prompts = stage.models, stage.prompts

    async def prompts(self, session: Session) -> None:
        self._stage.chapter("A prompt has versions; to move a label is to deploy")
        who = {"metadata": session.metadata}
        made = await self._prompts.CreateTemplate(
            template_pb2.CreateTemplateRequest(name="greeting", visibility=template_pb2.VISIBILITY_TENANT), **who
        )
        template_id = made.template.id
        name = version_pb2.PromptVariable(name="name", type=version_pb2.PromptVariable.TYPE_STRING, required=True)
        for text in VERSIONS:
            version = version_pb2.CreateVersionRequest(
                template_id=template_id,
                text=text,
                variables=[name],
                settings={"model": "local-chat", "temperature": 0, "max_tokens": 16},
            )
            await self._prompts.CreateVersion(version, **who)
        seen = []
        for newest in ("v1.0", "v1.1", "v1.0"):
            target = label_pb2.LabelTarget(version=newest)
            move = label_pb2.SetLabelRequest(template_id=template_id, label="production", targets=[target])
            await self._prompts.SetLabel(move, **who)
            request = prompt.RenderPromptRequest(template_id=template_id, label="production", variables={"name": "Lin"})
            seen.append((await self._prompts.RenderPrompt(request, **who)).text)
            self._out.print(f"  production is {newest}: [cyan]{seen[-1]}[/]")
        hold(seen[0] == seen[2] != seen[1], "a label that is moved back gives the version of before")
        named = chat_pb2.Prompt(template_id=template_id, label="production", variables={"name": "Lin"})
        answer = await self._models.Chat(chat_pb2.ChatRequest(prompt=named), **who)
        stats = await self._prompts.GetTemplateStats(prompt.GetTemplateStatsRequest(template_id=template_id), **who)
        (used,) = stats.versions
        latency = used.average_latency.ToMilliseconds()
        self._out.print(f"  a call with it is answered by {answer.model}: [cyan]{answer.message.content.strip()}[/]")
        self._out.print(f"  {used.version} was used in {used.calls} call, for {used.cost_usd} USD, in {latency} ms")

    async def routes(self, platform: Session, session: Session) -> None:
        self._stage.chapter("A model fails, and another answers in its place")
        free = model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0")
        broken = model_pb2.CreateModelRequest(
            name="out-of-reach",
            provider=model_pb2.Model.PROVIDER_CUSTOM,
            type=model_pb2.Model.TYPE_CHAT,
            base_url=NOBODY,
            price=free,
        )
        created = await self._models.CreateModel(broken, metadata=platform.metadata)
        targets = [route_pb2.RouteTarget(model="out-of-reach"), route_pb2.RouteTarget(model="local-chat", priority=1)]
        route = route_pb2.CreateRouteRequest(alias="assistant", targets=targets, cooldown_after=1)
        made = (await self._models.CreateRoute(route, metadata=session.metadata)).route
        question = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Say hello.")
        request = chat_pb2.ChatRequest(model="assistant", messages=[question], max_tokens=8, temperature=0)
        call = self._models.Chat(request, metadata=session.metadata)
        answer = await call
        hold(answer.model == "local-chat", "the other model answers")
        trace_id = dict(await call.trailing_metadata())["x-trace-id"]
        logs = call_log_pb2.ListCallLogsRequest(trace_id=str(trace_id))
        asked = list(reversed((await self._models.ListCallLogs(logs, metadata=session.metadata)).call_logs))
        for log in asked:
            name = "out-of-reach" if log.model_id == created.model.id else answer.model
            status = type(log).Status.Name(log.status).removeprefix("STATUS_").lower()
            self._out.print(f"  {name:13} asked {log.attempts}x: {status}")
        hold(len(asked) == 2, "each model that was asked is on record")
        failed, answered = asked
        hold(failed.model_id == created.model.id, "the one that is out of reach was asked first")
        hold(failed.status == failed.STATUS_ERROR, "its record says that it failed")
        hold(failed.error_reason == error_reason_pb2.ERROR_REASON_MODEL_UNAVAILABLE, "and why")
        hold(answered.status == answered.STATUS_SUCCESS, "the other's record says that it answered")
        found = route_pb2.GetRouteRequest(id=made.id)
        healths = (await self._models.GetRoute(found, metadata=session.metadata)).route.health
        hold([health.model for health in healths] == [target.model for target in targets], "the route tells of both")
        for health in healths:
            state = type(health).State.Name(health.state).removeprefix("STATE_").lower()
            self._out.print(f"  {health.model:13} is {state}")
        hold(healths[0].state != healths[0].STATE_HEALTHY, "the one that failed is not asked first for a while")

    async def money(self, session: Session) -> None:
        self._stage.chapter("A limit on calls holds, however many call at once")
        user_id = (await self._stage.identity.WhoAmI(session_pb2.WhoAmIRequest(), metadata=session.metadata)).user_id
        most = await self._tokens(session, user_id) + 60
        limits = usage_pb2.SetModelLimitsRequest(user_id=user_id, monthly_tokens=most)
        await self._models.SetModelLimits(limits, metadata=session.metadata)

        async def ask(number: int) -> str:
            request = embedding_pb2.EmbedRequest(model="local-embedding", inputs=[f"sentence {number}"])
            try:
                await self._models.Embed(request, metadata=session.metadata)
            except grpc.aio.AioRpcError as error:
                hold(error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, "what is too much is said to be")
                return str(error.details())
            return ""

        answers = await asyncio.gather(*(ask(number) for number in range(20)))
        refused = [text for text in answers if text]
        self._out.print(f"  20 call at once: {answers.count('')} are answered, {len(refused)} are told")
        hold(0 < len(refused) < 20, "some calls are within the limit, and some are not")
        self._out.print(f"  [italic]{refused[0]}[/]")
        tokens = await self._tokens(session, user_id)
        hold(tokens <= most, "the limit is kept")
        self._out.print(f"  this month: {tokens} tokens of {most}")

    async def _tokens(self, session: Session, user_id: str) -> int:
        """What they have used this month."""
        request = usage_pb2.GetModelUsageRequest(user_id=user_id)
        (used,) = (await self._models.GetModelUsage(request, metadata=session.metadata)).usage
        return int(used.prompt_tokens + used.completion_tokens)
