"""What tests of searches and answers do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atrium.knowledge.v1 import chunk_pb2
from atrium.knowledge.v1 import search_pb2 as pb
from atrium.tenant.v1 import tenant_config_pb2
from tests.factories.knowledge import ingest, processed
from tests.factories.world import Person, World
from tests.gateways import NOT_FOR_EVER

VECTOR, TEXT, HYBRID = pb.SEARCH_MODE_VECTOR, pb.SEARCH_MODE_TEXT, pb.SEARCH_MODE_HYBRID
MODES = (VECTOR, TEXT, HYBRID)


def query(base_ids: str | Iterable[str], text: str, **fields: Any) -> pb.SearchQuery:
    """A search of one base, or of several."""
    bases = [base_ids] if isinstance(base_ids, str) else list(base_ids)
    return pb.SearchQuery(knowledge_base_ids=bases, query=text, **fields)


async def search(
    world: World, person: Person | Any, base_ids: str | Iterable[str], text: str, **fields: Any
) -> pb.SearchResponse:
    """What is found. `person`: somebody signed in, or what a call sends for somebody."""
    request = pb.SearchRequest(query=query(base_ids, text, **fields))
    metadata = person.metadata if isinstance(person, Person) else person
    return await world.knowledge.Search(request, metadata=metadata, timeout=NOT_FOR_EVER)


async def found(
    world: World, person: Person | Any, base_ids: str | Iterable[str], text: str, **fields: Any
) -> list[str]:
    """The texts that are found, the best first."""
    return [one.content for one in (await search(world, person, base_ids, text, **fields)).results]


async def indexed(world: World, person: Person, base_id: str, *texts: str, **info: Any) -> list[Any]:
    """New documents of the texts, which searches find."""
    made = [await ingest(world, person, base_id, text, **info) for text in texts]
    documents = await processed(world, person, *(one.id for one in made))
    assert all(one.state == one.STATE_INDEXED for one in documents), documents
    return documents


async def change_chunk(world: World, person: Person, chunk: Any, **fields: Any) -> None:
    request = chunk_pb2.UpdateChunkRequest(document_id=chunk.document_id, id=chunk.id, **fields)
    await world.knowledge.UpdateChunk(request, metadata=person.metadata)


def asking(world: World, person: Person | Any, base_ids: str | Iterable[str], text: str, **fields: Any) -> Any:
    """The stream of an answer, under way. `search`: fields of its query."""
    request = pb.AskRequest(query=query(base_ids, text, **fields.pop("search", {})), **fields)
    metadata = person.metadata if isinstance(person, Person) else person
    return world.knowledge.Ask(request, metadata=metadata, timeout=NOT_FOR_EVER)


async def answered(
    world: World, person: Person | Any, base_ids: str | Iterable[str], text: str, **fields: Any
) -> list[pb.AskResponse]:
    """All events of an answer but heartbeats, which a busy machine may be slow enough for."""
    events = [event async for event in asking(world, person, base_ids, text, **fields)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    return [event for event in events if not event.HasField("heartbeat")]


async def query_logs(world: World, person: Person, **fields: Any) -> list[pb.QueryLog]:
    """The records of the tenant's searches, the newest first."""
    request = pb.ListQueryLogsRequest(**fields)
    return list((await world.knowledge.ListQueryLogs(request, metadata=person.metadata)).query_logs)


async def configure(world: World, person: Person, **fields: Any) -> None:
    """Sets what the person's tenant can set by itself."""
    request = tenant_config_pb2.UpdateTenantConfigRequest(**fields)
    await world.tenants.UpdateTenantConfig(request, metadata=person.metadata)
