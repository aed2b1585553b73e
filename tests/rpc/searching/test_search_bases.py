"""Search: whose bases it looks into, for whom, and with which models."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc

from atrium.model.v1 import model_pb2, tenant_model_pb2
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import MODEL, PERSONAL, PUBLIC, make_base, step_base
from tests.factories.searches import HYBRID, MODES, TEXT, VECTOR, found, indexed, query_logs, search
from tests.factories.world import Person, World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import logs_of

Code = grpc.StatusCode
MANAGE, READ = "knowledge_bases:manage", "knowledge_bases:read"


async def _with(world: World, person: Person, text: str, **fields: Any) -> str:
    """A base with one document."""
    base_id = await make_base(world, person, **fields)
    await indexed(world, person, base_id, text)
    return base_id


async def test_several_bases_are_searched_together_ones_own_and_public_ones(world: World) -> None:
    platform, owner = await world.platform(), await world.tenant()
    shared = await _with(world, platform, "Public water of everyone", visibility=PUBLIC)
    ours = await _with(world, owner, "Water of ours", name="ours")
    mine = await _with(world, owner, "Water of mine", name="mine", visibility=PERSONAL)

    for mode in MODES:
        reply = await search(world, owner, [ours, shared, mine], "water", mode=mode)

        assert {one.content: one.knowledge_base_id for one in reply.results} == {
            "Public water of everyone": shared,
            "Water of ours": ours,
            "Water of mine": mine,
        }
        scores = [one.score for one in reply.results]
        assert scores == sorted(scores, reverse=True)
    (best,) = (await search(world, owner, [ours, shared, mine], "public water of everyone", top_k=1)).results
    assert best.knowledge_base_id == shared


async def test_what_answers_worse_is_not_among_the_best_for_being_the_best_of_its_owners(world: World) -> None:
    platform, owner = await world.platform(), await world.tenant()
    shared = await _with(world, platform, "The moon is made of cheese, as some say", visibility=PUBLIC)
    ours = await make_base(world, owner)
    await indexed(world, owner, ours, "The moon pulls the tide of the sea", "Flour and yeast make bread", "Salt, sand")
    question = "How does the moon pull the tide of the sea?"

    for mode in MODES:
        for asked in ([ours, shared], [shared, ours]):
            first, second, *_ = (await search(world, owner, asked, question, mode=mode)).results
            assert (first.knowledge_base_id, second.knowledge_base_id) == (ours, shared)
            assert first.score > second.score, mode


async def test_a_public_base_is_searched_on_the_record_of_who_asks(world: World) -> None:
    platform, owner = await world.platform(), await world.tenant()
    shared = await _with(world, platform, "Public water", visibility=PUBLIC)
    calls, searches = len(await logs_of(world, platform)), len(await query_logs(world, platform))

    reply = await search(world, owner, shared, "water")

    assert [one.content for one in reply.results] == ["Public water"]
    assert [log.id for log in await query_logs(world, owner)] == [reply.query_log_id]
    assert [call.user_id for call in await logs_of(world, owner)] == [owner.id]
    assert (len(await logs_of(world, platform)), len(await query_logs(world, platform))) == (calls, searches)


async def test_a_base_that_the_caller_does_not_see_is_not_there_nor_among_others(world: World) -> None:
    owner, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    person, reader = await world.user(owner, MANAGE), await world.user(owner)
    ours = await _with(world, owner, "Water of ours")
    personal = await _with(world, person, "Water of mine", name="mine", visibility=PERSONAL)
    theirs = await _with(world, other, "Water of theirs")
    unpublished = await _with(world, platform, "Water of the platform")
    deleted = await _with(world, owner, "Water that was", name="deleted")
    await step_base(world, "Delete", deleted, owner.metadata)

    for hidden in (personal, theirs, unpublished, deleted, str(uuid4())):
        for asked in ([hidden], [ours, hidden], [hidden, ours]):
            for mode in (TEXT, HYBRID):
                refusal = await refused(search(world, reader, asked, "water", mode=mode))
                assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "KNOWLEDGE_BASE_NOT_FOUND")
    assert await query_logs(world, owner) == []
    assert await found(world, person, [ours, personal], "mine", mode=TEXT) == ["Water of mine"]
    assert await found(world, owner, personal, "mine", mode=TEXT) == ["Water of mine"], "who manages bases sees all"


async def test_an_archived_base_is_refused_until_it_is_active_again(world: World) -> None:
    owner = await world.tenant()
    base_id = await _with(world, owner, "Water of ours")
    other = await _with(world, owner, "Water elsewhere", name="elsewhere")
    await step_base(world, "Archive", base_id, owner.metadata)

    for asked in ([base_id], [other, base_id]):
        refusal = await refused(search(world, owner, asked, "water"))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "KNOWLEDGE_BASE_ARCHIVED")
    await step_base(world, "Activate", base_id, owner.metadata)
    assert await found(world, owner, base_id, "water") == ["Water of ours"]


async def test_a_restored_base_is_searched_as_it_was(world: World) -> None:
    owner = await world.tenant()
    base_id = await _with(world, owner, "Water of ours")
    before = await search(world, owner, base_id, "water")
    await step_base(world, "Delete", base_id, owner.metadata)
    await step_base(world, "Restore", base_id, owner.metadata)

    after = await search(world, owner, base_id, "water")

    assert list(after.results) == list(before.results)


async def test_who_reads_bases_may_search_them_and_nobody_else(world: World) -> None:
    owner = await world.tenant()
    viewer, nobody = await world.user(owner), await world.nobody(owner)
    base_id = await _with(world, owner, "Water of ours")
    reading = with_key((await make_key(world, owner, READ)).secret)
    other = with_key((await make_key(world, owner, "models:execute", "query_logs:read")).secret)

    for caller in (viewer, reading):
        assert await found(world, caller, base_id, "water") == ["Water of ours"]
    for caller in (nobody, other):
        refusal = await refused(search(world, caller, base_id, "water"))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")


async def test_a_key_that_is_for_other_models_searches_by_words_alone(world: World) -> None:
    owner = await world.tenant()
    base_id = await _with(world, owner, "Water of ours")
    key = with_key((await make_key(world, owner, READ, allowed_models=["local-chat"])).secret)

    for mode in (VECTOR, HYBRID):
        refusal = await refused(search(world, key, base_id, "water", mode=mode))
        assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert await found(world, key, base_id, "water", mode=TEXT) == ["Water of ours"]


async def _own(world: World, person: Person, base_url: str, dimensions: int) -> str:
    """The id of a model of the tenant's, called `ours`."""
    request = tenant_model_pb2.CreateTenantModelRequest(
        name="ours",
        upstream_name=f"stub-embed-{dimensions}",
        provider=model_pb2.Model.PROVIDER_CUSTOM,
        type=model_pb2.Model.TYPE_EMBEDDING,
        dimensions=dimensions,
        base_url=base_url,
        price=model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0"),
    )
    return str((await world.models.CreateTenantModel(request, metadata=person.metadata)).model.id)


async def test_a_base_whose_model_is_another_by_now_is_searched_by_words_alone(
    library: World, stub: OpenAIStub
) -> None:
    owner = await library.tenant()
    model_id = await _own(library, owner, stub.base_url, 8)
    base_id = await _with(library, owner, "Water of ours", embedding_model="ours")
    before = await found(library, owner, base_id, "water")
    delete = tenant_model_pb2.DeleteTenantModelRequest(id=model_id)
    await library.models.DeleteTenantModel(delete, metadata=owner.metadata)
    gone = await refused(search(library, owner, base_id, "water"))
    await _own(library, owner, stub.base_url, 16)

    for mode in (VECTOR, HYBRID):
        refusal = await refused(search(library, owner, base_id, "water", mode=mode))
        assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "EMBEDDINGS_DIFFER")
    assert before == await found(library, owner, base_id, "water", mode=TEXT) == ["Water of ours"]
    assert (gone.code, gone.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_bases_of_several_models_are_searched_together_and_each_model_is_asked_once(
    library: World, stub: OpenAIStub
) -> None:
    owner = await library.tenant()
    eight = await _with(library, owner, "Water in eight", name="8", embedding_model="stub-embed-8")
    sixteen = await _with(library, owner, "Water in sixteen", name="16", embedding_model="stub-embed-16")
    again = await _with(library, owner, "Water in eight again", name="8 again", embedding_model="stub-embed-8")
    local = await _with(library, owner, "Water here", name="local", embedding_model=MODEL)
    asked = len(stub.exchanges)

    reply = await search(library, owner, [eight, sixteen, again, local], "water", mode=HYBRID)

    assert {one.content for one in reply.results} == {
        *("Water in eight", "Water in sixteen", "Water in eight again", "Water here")
    }
    assert all(one.HasField("vector_score") and one.HasField("text_score") for one in reply.results)
    assert [exchange.body["input"] for exchange in stub.exchanges[asked:]] == [["water"], ["water"]]


async def test_a_provider_that_fails_is_told_and_words_are_found_all_the_same(library: World) -> None:
    owner = await library.tenant()
    base_id = await make_base(library, owner, embedding_model="stub-429")

    refusal = await refused(search(library, owner, base_id, "water"))
    by_words = await found(library, owner, base_id, "water", mode=TEXT)

    assert (refusal.code, refusal.reason) == (Code.RESOURCE_EXHAUSTED, "MODEL_RATE_LIMITED")
    assert by_words == []
