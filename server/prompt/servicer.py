"""The PromptService: converts, calls, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from server.prompt import convert
from server.prompt.service.rendering import PromptRendering
from server.prompt.service.templates import TemplateService
from server.prompt.service.versions import VersionService
from server.prompt.service.watching import PromptWatching
from server.rpc.chain import Context
from server.rpc.pages import Pages
from server.rpc.wire import days, deletion


class PromptServicer:
    """Templates, their versions and labels."""

    def __init__(
        self,
        templates: TemplateService,
        versions: VersionService,
        rendering: PromptRendering,
        watching: PromptWatching,
        pages: Pages,
    ) -> None:
        self._templates = templates
        self._versions = versions
        self._rendering = rendering
        self._watching = watching
        self._pages = pages

    async def CreateTemplate(
        self, request: template_pb2.CreateTemplateRequest, context: Context
    ) -> template_pb2.CreateTemplateResponse:
        template = await self._templates.create(convert.new_template(request))
        return template_pb2.CreateTemplateResponse(template=convert.template(template))

    async def GetTemplate(
        self, request: template_pb2.GetTemplateRequest, context: Context
    ) -> template_pb2.GetTemplateResponse:
        template = await self._templates.get(UUID(request.id), deletion(request))
        return template_pb2.GetTemplateResponse(template=convert.template(template))

    async def ListTemplates(
        self, request: template_pb2.ListTemplatesRequest, context: Context
    ) -> template_pb2.ListTemplatesResponse:
        asked = self._pages.read(request)
        if request.all_tenants:
            page = await self._templates.public_page(asked, request.category or None)
        else:
            page = await self._templates.page(asked, convert.filters(request), deletion(request))
        return template_pb2.ListTemplatesResponse(
            templates=[convert.template(template) for template in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def UpdateTemplate(
        self, request: template_pb2.UpdateTemplateRequest, context: Context
    ) -> template_pb2.UpdateTemplateResponse:
        values = convert.template_changes(request)
        template = await self._templates.update(UUID(request.id), values, request.etag)
        return template_pb2.UpdateTemplateResponse(template=convert.template(template))

    async def DeleteTemplate(
        self, request: template_pb2.DeleteTemplateRequest, context: Context
    ) -> template_pb2.DeleteTemplateResponse:
        await self._templates.delete(UUID(request.id), request.etag)
        return template_pb2.DeleteTemplateResponse()

    async def RestoreTemplate(
        self, request: template_pb2.RestoreTemplateRequest, context: Context
    ) -> template_pb2.RestoreTemplateResponse:
        template = await self._templates.restore(UUID(request.id))
        return template_pb2.RestoreTemplateResponse(template=convert.template(template))

    async def PurgeTemplate(
        self, request: template_pb2.PurgeTemplateRequest, context: Context
    ) -> template_pb2.PurgeTemplateResponse:
        await self._templates.purge(UUID(request.id))
        return template_pb2.PurgeTemplateResponse()

    async def CreateVersion(
        self, request: version_pb2.CreateVersionRequest, context: Context
    ) -> version_pb2.CreateVersionResponse:
        version = await self._versions.create(UUID(request.template_id), convert.new_version(request))
        return version_pb2.CreateVersionResponse(version=convert.version(version))

    async def GetVersion(
        self, request: version_pb2.GetVersionRequest, context: Context
    ) -> version_pb2.GetVersionResponse:
        version = await self._versions.get(UUID(request.template_id), request.version)
        return version_pb2.GetVersionResponse(version=convert.version(version))

    async def ListVersions(
        self, request: version_pb2.ListVersionsRequest, context: Context
    ) -> version_pb2.ListVersionsResponse:
        page = await self._versions.page(UUID(request.template_id), self._pages.read(request))
        return version_pb2.ListVersionsResponse(
            versions=[convert.version(version) for version in page.items],
            next_page_token=self._pages.next(request, page),
        )

    async def DiffVersions(
        self, request: version_pb2.DiffVersionsRequest, context: Context
    ) -> version_pb2.DiffVersionsResponse:
        content, settings = await self._versions.difference(
            UUID(request.template_id), request.from_version, request.to_version
        )
        return version_pb2.DiffVersionsResponse(content_diff=content, settings_diff=settings)

    async def SetLabel(self, request: label_pb2.SetLabelRequest, context: Context) -> label_pb2.SetLabelResponse:
        protected = request.protected if request.HasField("protected") else None
        label = await self._versions.set_label(
            UUID(request.template_id), request.label, convert.shares(request), protected, request.etag
        )
        return label_pb2.SetLabelResponse(label=convert.label(label))

    async def RemoveLabel(
        self, request: label_pb2.RemoveLabelRequest, context: Context
    ) -> label_pb2.RemoveLabelResponse:
        await self._versions.remove_label(UUID(request.template_id), request.label, request.etag)
        return label_pb2.RemoveLabelResponse()

    async def ListLabels(self, request: label_pb2.ListLabelsRequest, context: Context) -> label_pb2.ListLabelsResponse:
        labels = await self._versions.labels(UUID(request.template_id))
        return label_pb2.ListLabelsResponse(labels=[convert.label(label) for label in labels])

    async def RenderPrompt(self, request: pb.RenderPromptRequest, context: Context) -> pb.RenderPromptResponse:
        found = await self._rendering.find(*convert.asked(request))
        return convert.rendered(await found.render(*convert.values(request)))

    async def WatchPrompts(
        self, request: pb.WatchPromptsRequest, context: Context
    ) -> AsyncIterator[pb.WatchPromptsResponse]:
        async with aclosing(self._watching.watch(*convert.watched(request))) as events:
            async for event in events:
                yield convert.event(event)

    async def GetTemplateStats(
        self, request: pb.GetTemplateStatsRequest, context: Context
    ) -> pb.GetTemplateStatsResponse:
        found = await self._versions.stats(UUID(request.template_id), *days(request))
        return pb.GetTemplateStatsResponse(versions=[convert.stats(*one) for one in found])
