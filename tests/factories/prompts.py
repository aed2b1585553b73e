"""What tests of prompts do with them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from atrium.prompt.v1 import label_pb2
from atrium.prompt.v1 import prompt_service_pb2 as pb
from atrium.prompt.v1 import template_pb2 as templates
from atrium.prompt.v1 import version_pb2 as versions
from tests.factories.world import Person, World

PERSONAL, TENANT, PUBLIC = (
    templates.VISIBILITY_PERSONAL,
    templates.VISIBILITY_TENANT,
    templates.VISIBILITY_PUBLIC,
)
NOT_FOR_EVER = 20.0
NAME = versions.PromptVariable(name="name", type=versions.PromptVariable.TYPE_STRING, required=True)


async def make_template(world: World, person: Person, name: str = "greeting", visibility: int = TENANT) -> str:
    request = templates.CreateTemplateRequest(name=name, visibility=visibility)
    return str((await world.prompts.CreateTemplate(request, metadata=person.metadata)).template.id)


async def make_version(world: World, person: Person, template_id: str, text: str, **fields: Any) -> Any:
    request = versions.CreateVersionRequest(template_id=template_id, text=text, **fields)
    return (await world.prompts.CreateVersion(request, metadata=person.metadata)).version


async def set_label(world: World, person: Person, template_id: str, label: str, *targets: Any, **fields: Any) -> Any:
    given = [label_pb2.LabelTarget(version=one) if isinstance(one, str) else one for one in targets]
    request = label_pb2.SetLabelRequest(template_id=template_id, label=label, targets=given, **fields)
    return (await world.prompts.SetLabel(request, metadata=person.metadata)).label


async def render(world: World, person: Person, template_id: str, **fields: Any) -> pb.RenderPromptResponse:
    request = pb.RenderPromptRequest(template_id=template_id, **fields)
    return await world.prompts.RenderPrompt(request, metadata=person.metadata)


async def listed(world: World, person: Person, **fields: Any) -> list[str]:
    found = await world.prompts.ListTemplates(templates.ListTemplatesRequest(**fields), metadata=person.metadata)
    return [template.name for template in found.templates]


def get_template(world: World, person: Person, template_id: str, **fields: Any) -> Any:
    return world.prompts.GetTemplate(templates.GetTemplateRequest(id=template_id, **fields), metadata=person.metadata)


class Watch:
    """A watch, and the numbers of what it was told so far."""

    def __init__(
        self, world: World, person: Person, *template_ids: str, watch_id: str = "", after_seq: int = 0
    ) -> None:
        request = pb.WatchPromptsRequest(template_ids=template_ids, watch_id=watch_id, after_seq=after_seq)
        self.stream: Any = world.prompts.WatchPrompts(request, metadata=person.metadata)
        self._events: AsyncIterator[Any] = aiter(self.stream)
        self.seqs: list[int] = []
        self.id = ""

    async def event(self) -> Any:
        """The next event of any kind."""
        async with asyncio.timeout(NOT_FOR_EVER):
            event = await anext(self._events)
        self.seqs.append(event.seq)
        self.id = event.watch_id
        return event

    async def next(self) -> Any:
        """The next event but heartbeats."""
        while (event := await self.event()).HasField("heartbeat"):
            pass
        return event

    async def synced(self) -> list[str]:
        """The names of what there is."""
        names = []
        while not (event := await self.next()).HasField("synced"):
            names.append(event.changed.template.name)
        return names
