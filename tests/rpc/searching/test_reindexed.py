"""Bases that come to another model: searched by the one of before until all is embedded, and by the other from then."""

from __future__ import annotations

from typing import Any

import grpc

from atrium.knowledge.v1 import knowledge_base_pb2 as bases
from atrium.model.v1 import call_log_pb2, model_pb2
from tests.factories.knowledge import get_base, make_base, reindex, reindexed, roll_back
from tests.factories.models import make_model
from tests.factories.searches import HYBRID, VECTOR, found, indexed
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub

State = bases.KnowledgeBase.Reindex
TEXTS = ["The moon pulls the sea", "Flour and yeast make bread"]


async def test_a_base_comes_to_another_model_and_back(library: World) -> None:
    owner = await library.tenant()
    base_id = await make_base(library, owner, embedding_model="stub-embed-8")
    await indexed(library, owner, base_id, *TEXTS)
    before = await found(library, owner, base_id, TEXTS[0], mode=VECTOR)

    await reindex(library, owner, base_id, embedding_model="stub-embed-16")
    after = await reindexed(library, owner, base_id)
    there = [await found(library, owner, base_id, TEXTS[0], mode=mode) for mode in (VECTOR, HYBRID)]
    back = await roll_back(library, owner, base_id)
    again = await found(library, owner, base_id, TEXTS[0], mode=VECTOR)

    assert (after.embedding_model, after.embedding_dimensions, after.chunk_count) == ("stub-embed-16", 16, 2)
    assert (back.embedding_model, back.embedding_dimensions, back.chunk_count) == ("stub-embed-8", 8, 2)
    assert before == again
    assert [one[0] for one in [before, *there]] == [TEXTS[0]] * 3
    assert [len(one) for one in there] == [2, 2]


async def test_what_is_embedded_is_on_the_record_of_who_asked(library: World) -> None:
    owner = await library.tenant()
    editor = await library.user(owner, "knowledge_bases:manage")
    base_id = await make_base(library, owner, embedding_model="stub-embed-8")
    await indexed(library, owner, base_id, *TEXTS)

    await reindex(library, editor, base_id, embedding_model="stub-embed-16")
    await reindexed(library, owner, base_id)

    request = call_log_pb2.ListCallLogsRequest(user_id=editor.id)
    logs = (await library.models.ListCallLogs(request, metadata=owner.metadata)).call_logs
    assert [log.kind for log in logs] == [call_log_pb2.CallLog.KIND_EMBEDDING] * len(TEXTS)


async def test_a_model_that_fails_leaves_the_one_of_before_in_use(library: World, stub: OpenAIStub) -> None:
    owner = await library.tenant()
    base_id = await make_base(library, owner, embedding_model="stub-embed-8")
    await indexed(library, owner, base_id, TEXTS[0])
    embeds: dict[str, Any] = {"type": model_pb2.Model.TYPE_EMBEDDING, "supports_streaming": False}
    await make_model(library, stub.base_url, "stub-401", dimensions=8, **embeds)

    await reindex(library, owner, base_id, embedding_model="stub-401")
    base = await reindexed(library, owner, base_id)

    assert (base.reindex.state, base.generation, base.embedding_model) == (State.STATE_FAILED, 1, "stub-embed-8")
    assert base.reindex.error_message
    assert await found(library, owner, base_id, TEXTS[0], mode=VECTOR) == [TEXTS[0]]
    refusal = await refused(roll_back(library, owner, base_id))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REINDEX_NOT_REVERSIBLE")
    await reindex(library, owner, base_id, embedding_model="stub-embed-16")
    assert (await reindexed(library, owner, base_id)).embedding_dimensions == 16
    assert (await get_base(library, owner, base_id)).former_generation.embedding_model == "stub-embed-8"
