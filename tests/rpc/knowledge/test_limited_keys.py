"""Keys that are for certain models: what they cannot embed they cannot have embedded either."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.knowledge.v1 import document_pb2 as documents
from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import MODEL, get_base, ingest, make_base, processed
from tests.factories.world import World, refused

pytestmark = [pytest.mark.xdist_group("documents"), pytest.mark.asyncio(loop_scope="module")]

MANAGE = "knowledge_bases:manage"


def _asks(world: World, base_id: str, document_id: str, metadata: Any) -> list[Any]:
    """Every call that has something embedded later."""
    calls = [
        (world.knowledge.IngestText, documents.IngestTextRequest(knowledge_base_id=base_id, text="mine")),
        (
            world.knowledge.IngestUrl,
            documents.IngestUrlRequest(knowledge_base_id=base_id, url="http://nobody.invalid/"),
        ),
        (world.knowledge.StartUpload, documents.StartUploadRequest(knowledge_base_id=base_id)),
        (world.knowledge.RetryDocument, documents.RetryDocumentRequest(id=document_id)),
        (world.knowledge.ReindexKnowledgeBase, bases.ReindexKnowledgeBaseRequest(id=base_id)),
    ]
    return [call(request, metadata=metadata) for call, request in calls]


async def test_a_key_for_other_models_has_nothing_embedded(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    document = await ingest(world, owner, base_id, "The moon pulls the sea.")
    await processed(world, owner, document.id)
    limited, free = [
        with_key((await make_key(world, owner, MANAGE, allowed_models=models)).secret)
        for models in (["local-chat"], [MODEL])
    ]

    refusals = [await refused(call) for call in _asks(world, base_id, document.id, limited)]
    meanwhile = await get_base(world, owner, base_id)
    for call in _asks(world, base_id, document.id, free):
        await call

    assert [(one.code, one.reason) for one in refusals] == [
        (grpc.StatusCode.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    ] * len(refusals)
    assert (meanwhile.document_count, meanwhile.HasField("reindex")) == (1, False)
