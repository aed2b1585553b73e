"""The ModelService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

from atrium.model.v1 import (
    call_log_pb2,
    chat_pb2,
    credential_pb2,
    embedding_pb2,
    model_pb2,
    route_pb2,
    stream_pb2,
    tenant_model_pb2,
    usage_pb2,
)
from server.kernel.principal import current_call
from server.model.chat import Ended
from server.model.convert import calls, credentials, models, routes, usage
from server.model.service.calls import CallService
from server.model.service.credentials import CredentialService
from server.model.service.embedding import EmbedService
from server.model.service.generations import Beginning, Generations
from server.model.service.models import ModelService
from server.model.service.routes import RouteService
from server.model.service.tenant_models import TenantModelService
from server.model.service.usage import UsageService
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import moment, uuid_or_none, whole_seconds


class ModelServicer:
    """Models, and calls to them."""

    def __init__(
        self,
        models: ModelService,
        tenant_models: TenantModelService,
        routes: RouteService,
        calls: CallService,
        embedding: EmbedService,
        generations: Generations,
        usage: UsageService,
        credentials: CredentialService,
        pages: Pages,
    ) -> None:
        self._models = models
        self._tenant_models = tenant_models
        self._routes = routes
        self._calls = calls
        self._embedding = embedding
        self._generations = generations
        self._usage = usage
        self._credentials = credentials
        self._pages = pages

    async def ListModels(self, request: model_pb2.ListModelsRequest, context: Context) -> model_pb2.ListModelsResponse:
        page = await self._models.page(self._pages.read(request), models.model_filters(request))
        return model_pb2.ListModelsResponse(
            models=[models.model(model, platform=_platform()) for model in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def GetModel(self, request: model_pb2.GetModelRequest, context: Context) -> model_pb2.GetModelResponse:
        model = await self._models.get(UUID(request.id))
        return model_pb2.GetModelResponse(model=models.model(model, platform=_platform()))

    async def CreateModel(
        self, request: model_pb2.CreateModelRequest, context: Context
    ) -> model_pb2.CreateModelResponse:
        model = await self._models.create(models.new_model(request))
        return model_pb2.CreateModelResponse(model=models.model(model, platform=_platform()))

    async def UpdateModel(
        self, request: model_pb2.UpdateModelRequest, context: Context
    ) -> model_pb2.UpdateModelResponse:
        model = await self._models.update(UUID(request.id), models.model_changes(request), request.etag)
        return model_pb2.UpdateModelResponse(model=models.model(model, platform=_platform()))

    async def SetModelPrice(
        self, request: model_pb2.SetModelPriceRequest, context: Context
    ) -> model_pb2.SetModelPriceResponse:
        model = await self._models.set_price(
            UUID(request.model_id), models.price(request.price), moment(request, "effective_time")
        )
        return model_pb2.SetModelPriceResponse(model=models.model(model, platform=_platform()))

    async def Chat(self, request: chat_pb2.ChatRequest, context: Context) -> chat_pb2.ChatResponse:
        return await self._calls.chat(calls.chat_call(request), calls.chat_answer)

    async def StreamChat(
        self, request: stream_pb2.StreamChatRequest, context: Context
    ) -> AsyncIterator[stream_pb2.StreamChatResponse]:
        if request.resumable or request.generation_id:
            async with aclosing(self._resumable(request)) as kept:
                async for data in kept:
                    for message in data:
                        yield stream_pb2.StreamChatResponse.FromString(message)
            return
        async with aclosing(self._numbered(request)) as batches:
            async for batch in batches:
                for numbered in batch:
                    yield numbered

    async def _resumable(self, request: stream_pb2.StreamChatRequest) -> AsyncGenerator[Sequence[bytes], None]:
        beginning = None
        if request.resumable:
            beginning = Beginning(calls.asked(request), lambda generation_id: self._written(request, generation_id))
        stream = self._generations.stream(uuid_or_none(request.generation_id), request.after_seq, beginning)
        async with aclosing(stream) as batches:
            async for batch in batches:
                yield batch

    async def _written(
        self, request: stream_pb2.StreamChatRequest, generation_id: UUID
    ) -> AsyncGenerator[Sequence[bytes], None]:
        async with aclosing(self._numbered(request, str(generation_id))) as batches:
            async for batch in batches:
                yield [message.SerializeToString() for message in batch]

    async def _numbered(
        self, request: stream_pb2.StreamChatRequest, generation_id: str = ""
    ) -> AsyncGenerator[Sequence[stream_pb2.StreamChatResponse], None]:
        seq = 1
        end: Sequence[stream_pb2.StreamChatResponse] = ()

        def ending(ended: Ended) -> None:
            nonlocal end
            end = calls.chat_events(ended, seq, generation_id)

        async with aclosing(self._calls.stream_chat(calls.chat_call(request), ending)) as batches:
            async for batch in batches:
                messages: list[stream_pb2.StreamChatResponse] = []
                for event in batch:
                    # The end is made while it is written down, and comes by itself.
                    messages.extend(end or calls.chat_events(event, seq + len(messages), generation_id))
                seq += len(messages)
                yield messages

    async def CancelGeneration(
        self, request: stream_pb2.CancelGenerationRequest, context: Context
    ) -> stream_pb2.CancelGenerationResponse:
        await self._generations.cancel(UUID(request.generation_id))
        return stream_pb2.CancelGenerationResponse()

    async def Embed(self, request: embedding_pb2.EmbedRequest, context: Context) -> embedding_pb2.EmbedResponse:
        found = await self._embedding.embed(request.model, request.inputs, whole_seconds(request, "cache_ttl"))
        return calls.embeddings(found)

    async def GetCallLog(
        self, request: call_log_pb2.GetCallLogRequest, context: Context
    ) -> call_log_pb2.GetCallLogResponse:
        return calls.kept_call(*await self._models.log(UUID(request.id)))

    async def ListCallLogs(
        self, request: call_log_pb2.ListCallLogsRequest, context: Context
    ) -> call_log_pb2.ListCallLogsResponse:
        page = await self._models.logs(
            self._pages.read(request), calls.log_filters(request), **calls.log_window(request)
        )
        return call_log_pb2.ListCallLogsResponse(
            call_logs=[calls.call_log(log) for log in page.items], next_page_token=self._pages.next(request, page)
        )

    async def CreateCredential(
        self, request: credential_pb2.CreateCredentialRequest, context: Context
    ) -> credential_pb2.CreateCredentialResponse:
        made = await self._credentials.create(credentials.new_credential(request), request.secret)
        return credential_pb2.CreateCredentialResponse(credential=credentials.credential(made))

    async def ListCredentials(
        self, request: credential_pb2.ListCredentialsRequest, context: Context
    ) -> credential_pb2.ListCredentialsResponse:
        page = await self._credentials.page(self._pages.read(request))
        return credential_pb2.ListCredentialsResponse(
            credentials=[credentials.credential(found) for found in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def RotateCredential(
        self, request: credential_pb2.RotateCredentialRequest, context: Context
    ) -> credential_pb2.RotateCredentialResponse:
        changed = await self._credentials.rotate(UUID(request.id), request.secret, request.etag)
        return credential_pb2.RotateCredentialResponse(credential=credentials.credential(changed))

    async def DeleteCredential(
        self, request: credential_pb2.DeleteCredentialRequest, context: Context
    ) -> credential_pb2.DeleteCredentialResponse:
        await self._credentials.delete(UUID(request.id), request.etag)
        return credential_pb2.DeleteCredentialResponse()

    async def CreateTenantModel(
        self, request: tenant_model_pb2.CreateTenantModelRequest, context: Context
    ) -> tenant_model_pb2.CreateTenantModelResponse:
        model = await self._tenant_models.create(models.new_model(request))
        return tenant_model_pb2.CreateTenantModelResponse(model=models.model(model, platform=_platform()))

    async def GetTenantModel(
        self, request: tenant_model_pb2.GetTenantModelRequest, context: Context
    ) -> tenant_model_pb2.GetTenantModelResponse:
        model = await self._tenant_models.get(UUID(request.id))
        return tenant_model_pb2.GetTenantModelResponse(model=models.model(model, platform=_platform()))

    async def ListTenantModels(
        self, request: tenant_model_pb2.ListTenantModelsRequest, context: Context
    ) -> tenant_model_pb2.ListTenantModelsResponse:
        page = await self._tenant_models.page(self._pages.read(request))
        return tenant_model_pb2.ListTenantModelsResponse(
            models=[models.model(model, platform=_platform()) for model in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateTenantModel(
        self, request: tenant_model_pb2.UpdateTenantModelRequest, context: Context
    ) -> tenant_model_pb2.UpdateTenantModelResponse:
        model = await self._tenant_models.update(UUID(request.id), models.tenant_model_changes(request), request.etag)
        return tenant_model_pb2.UpdateTenantModelResponse(model=models.model(model, platform=_platform()))

    async def SetTenantModelPrice(
        self, request: tenant_model_pb2.SetTenantModelPriceRequest, context: Context
    ) -> tenant_model_pb2.SetTenantModelPriceResponse:
        model = await self._tenant_models.set_price(
            UUID(request.model_id), models.price(request.price), moment(request, "effective_time")
        )
        return tenant_model_pb2.SetTenantModelPriceResponse(model=models.model(model, platform=_platform()))

    async def DeleteTenantModel(
        self, request: tenant_model_pb2.DeleteTenantModelRequest, context: Context
    ) -> tenant_model_pb2.DeleteTenantModelResponse:
        await self._tenant_models.delete(UUID(request.id), request.etag)
        return tenant_model_pb2.DeleteTenantModelResponse()

    async def CreateRoute(
        self, request: route_pb2.CreateRouteRequest, context: Context
    ) -> route_pb2.CreateRouteResponse:
        route = await self._routes.create(routes.new_route(request))
        return route_pb2.CreateRouteResponse(route=routes.route(route))

    async def GetRoute(self, request: route_pb2.GetRouteRequest, context: Context) -> route_pb2.GetRouteResponse:
        return route_pb2.GetRouteResponse(route=routes.route(await self._routes.get(UUID(request.id))))

    async def ListRoutes(self, request: route_pb2.ListRoutesRequest, context: Context) -> route_pb2.ListRoutesResponse:
        page = await self._routes.page(self._pages.read(request))
        return route_pb2.ListRoutesResponse(
            routes=[routes.route(route) for route in page.items], next_page_token=self._pages.next(request, page)
        )

    async def UpdateRoute(
        self, request: route_pb2.UpdateRouteRequest, context: Context
    ) -> route_pb2.UpdateRouteResponse:
        route = await self._routes.update(UUID(request.id), routes.route_changes(request), request.etag)
        return route_pb2.UpdateRouteResponse(route=routes.route(route))

    async def DeleteRoute(
        self, request: route_pb2.DeleteRouteRequest, context: Context
    ) -> route_pb2.DeleteRouteResponse:
        await self._routes.delete(UUID(request.id), request.etag)
        return route_pb2.DeleteRouteResponse()

    async def SetModelLimits(
        self, request: usage_pb2.SetModelLimitsRequest, context: Context
    ) -> usage_pb2.SetModelLimitsResponse:
        limits = await self._usage.set_limits(*usage.subject(request), usage.limits(request), request.etag)
        return usage_pb2.SetModelLimitsResponse(limits=usage.subject_limits(limits))

    async def GetModelLimits(
        self, request: usage_pb2.GetModelLimitsRequest, context: Context
    ) -> usage_pb2.GetModelLimitsResponse:
        limits, uses = await self._usage.get_limits(*usage.subject(request))
        return usage.limits_in_use(limits, uses)

    async def ListModelLimits(
        self, request: usage_pb2.ListModelLimitsRequest, context: Context
    ) -> usage_pb2.ListModelLimitsResponse:
        page = await self._usage.page_limits(self._pages.read(request))
        return usage_pb2.ListModelLimitsResponse(
            limits=[usage.subject_limits(found) for found in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def DeleteModelLimits(
        self, request: usage_pb2.DeleteModelLimitsRequest, context: Context
    ) -> usage_pb2.DeleteModelLimitsResponse:
        await self._usage.delete_limits(UUID(request.id), request.etag)
        return usage_pb2.DeleteModelLimitsResponse()

    async def GetModelUsage(
        self, request: usage_pb2.GetModelUsageRequest, context: Context
    ) -> usage_pb2.GetModelUsageResponse:
        page = await self._usage.usage(*usage.usage_asked(request, self._pages.cursor(request)))
        return usage_pb2.GetModelUsageResponse(
            usage=[usage.model_usage(one) for one in page.sums],
            next_page_token=self._pages.behind(request, usage.usage_cursor(page)),
        )


def _platform() -> bool:
    return current_call().caller.is_platform
