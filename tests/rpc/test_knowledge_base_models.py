"""What a knowledge base embeds with, and how it cuts documents for that."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from atrium.knowledge.v1 import knowledge_base_pb2 as pb
from atrium.model.v1 import model_pb2, tenant_model_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import MODEL, get_base, make_base
from tests.factories.models import make_model
from tests.factories.world import Person, World, refused

Code = grpc.StatusCode
EMBEDDING = model_pb2.Model.TYPE_EMBEDDING
NOWHERE = "https://models.example/v1"
"""Nobody is called when a base is made."""


async def _made(world: World, person: Person, **fields: Any) -> pb.KnowledgeBase:
    return await get_base(world, person, await make_base(world, person, **fields))


async def _embedder(world: World, name: str, **fields: Any) -> str:
    given = {"type": EMBEDDING, "dimensions": 8, "supports_streaming": False, **fields}
    return await make_model(world, NOWHERE, name, **given)


async def _own_embedder(world: World, person: Person, name: str) -> model_pb2.Model:
    request = tenant_model_pb2.CreateTenantModelRequest(
        name=name,
        provider=model_pb2.Model.PROVIDER_CUSTOM,
        type=EMBEDDING,
        dimensions=16,
        base_url=NOWHERE,
        price=model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0"),
    )
    return (await world.models.CreateTenantModel(request, metadata=person.metadata)).model


async def _change_model(world: World, name: str, **fields: Any) -> None:
    platform = await world.platform()
    models = (await world.models.ListModels(model_pb2.ListModelsRequest(), metadata=platform.metadata)).models
    (model_id,) = [model.id for model in models if model.name == name]
    request = model_pb2.UpdateModelRequest(id=model_id, **fields)
    await world.models.UpdateModel(request, metadata=platform.metadata)


async def _set_default(world: World, person: Person, name: str) -> None:
    request = tenant_config_pb2.UpdateTenantConfigRequest(default_embedding_model=name)
    await world.tenants.UpdateTenantConfig(request, metadata=person.metadata)


async def test_a_base_keeps_the_model_that_it_was_made_with(world: World) -> None:
    owner = await world.tenant()
    await _set_default(world, owner, MODEL)

    by_default = await _made(world, owner, name="by default", embedding_model="")
    named = await _made(world, owner, name="named", embedding_model="text-embedding-3-large")
    await _set_default(world, owner, "text-embedding-3-large")
    after = await _made(world, owner, name="after", embedding_model="")

    assert (by_default.embedding_model, by_default.embedding_dimensions) == (MODEL, 256)
    assert (named.embedding_model, named.embedding_dimensions) == ("text-embedding-3-large", 1536)
    assert (after.embedding_model, after.embedding_dimensions) == ("text-embedding-3-large", 1536)
    assert await get_base(world, owner, by_default.id) == by_default


async def test_a_base_is_embedded_with_a_model_of_the_tenants_own(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    await _own_embedder(world, owner, "ours")

    base = await _made(world, owner, embedding_model="ours")
    refusal = await refused(make_base(world, other, embedding_model="ours"))

    assert (base.embedding_model, base.embedding_dimensions) == ("ours", 16)
    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


@pytest.mark.parametrize(
    ("model", "code", "reason"),
    [
        ("none", Code.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("local-chat", Code.FAILED_PRECONDITION, "MODEL_KIND_MISMATCH"),
        ("disabled", Code.FAILED_PRECONDITION, "MODEL_DISABLED"),
        ("", Code.INVALID_ARGUMENT, "MODEL_NOT_NAMED"),
    ],
)
async def test_no_base_is_made_with_a_model_that_cannot_embed_for_the_tenant(
    world: World, model: str, code: Code, reason: str
) -> None:
    owner = await world.tenant()
    await _embedder(world, "disabled")
    await _change_model(world, "disabled", state=model_pb2.Model.STATE_DISABLED)

    refusal = await refused(make_base(world, owner, embedding_model=model))

    assert (refusal.code, refusal.reason) == (code, reason)
    found = await world.knowledge.ListKnowledgeBases(pb.ListKnowledgeBasesRequest(), metadata=owner.metadata)
    assert not found.knowledge_bases


async def test_the_tenants_default_is_held_to_what_a_named_model_is(world: World) -> None:
    owner = await world.tenant()
    await _embedder(world, "default")
    await _set_default(world, owner, "default")
    await _change_model(world, "default", state=model_pb2.Model.STATE_DISABLED)

    refusal = await refused(make_base(world, owner, embedding_model=""))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "MODEL_DISABLED")


async def test_a_model_that_does_not_say_how_long_its_vectors_are_is_unsuitable(world: World, admin: Any) -> None:
    owner = await world.tenant()
    await _own_embedder(world, owner, "ours")
    # Nobody can make such a model by a call, but the database has room for it.
    await admin.execute("UPDATE tenant_models SET dimensions = NULL WHERE name = 'ours'")

    refusal = await refused(make_base(world, owner, embedding_model="ours"))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "EMBEDDING_MODEL_UNSUITABLE")


async def test_own_models_embed_only_while_the_tier_gives_them(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    await _own_embedder(world, owner, "ours")
    lower = tenant_pb2.UpdateTenantRequest(id=owner.tenant_id, tier=tenant_pb2.Tenant.TIER_FREE)
    await world.tenants.UpdateTenant(lower, metadata=platform.metadata)

    refusal = await refused(make_base(world, owner, embedding_model="ours"))

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "FEATURE_MISSING")


@pytest.mark.parametrize(("models", "reason"), [([MODEL], ""), (["local-chat"], "MODEL_NOT_ALLOWED")])
async def test_a_key_makes_bases_with_the_models_that_it_is_limited_to(
    world: World, models: list[str], reason: str
) -> None:
    owner = await world.tenant()
    await _set_default(world, owner, MODEL)
    key = await make_key(world, owner, "knowledge_bases:manage", allowed_models=models)

    for name, model in (("named", MODEL), ("by default", "")):
        request = pb.CreateKnowledgeBaseRequest(name=name, embedding_model=model)
        call = world.knowledge.CreateKnowledgeBase(request, metadata=with_key(key.secret))
        if reason:
            refusal = await refused(call)
            assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, reason)
        else:
            base = (await call).knowledge_base
            assert (base.owner_user_id, base.embedding_model) == (owner.id, MODEL)


async def test_a_chunk_is_no_longer_than_the_model_takes(world: World) -> None:
    owner = await world.tenant()
    await _embedder(world, "short", max_tokens=100)
    await _embedder(world, "any")

    refusals = [
        await refused(make_base(world, owner, embedding_model="short", **fields))
        for fields in ({}, {"chunk_size": 101})
    ]
    fits = await _made(world, owner, name="fits", embedding_model="short", chunk_size=100)
    request = _update(fits.id, chunk_size=101, chunk_overlap=0)
    refusals.append(await refused(world.knowledge.UpdateKnowledgeBase(request, metadata=owner.metadata)))
    long = await _made(world, owner, name="long", embedding_model="any", chunk_size=8192)

    assert [(one.code, one.fields) for one in refusals] == [(Code.INVALID_ARGUMENT, ["chunk_size"])] * 3
    assert (fits.chunk_size, long.chunk_size) == (100, 8192)


async def test_a_chunk_repeats_at_most_half_of_the_one_before(world: World) -> None:
    owner = await world.tenant()
    base = await _made(world, owner, chunk_size=100, chunk_overlap=50)

    calls = [make_base(world, owner, "another", chunk_size=100, chunk_overlap=51)]
    calls += [make_base(world, owner, "usual", chunk_overlap=257)]
    for fields in ({"chunk_overlap": 51}, {"chunk_size": 99}, {"chunk_size": 200, "chunk_overlap": 101}):
        calls += [world.knowledge.UpdateKnowledgeBase(_update(base.id, **fields), metadata=owner.metadata)]
    refusals = [await refused(call) for call in calls]
    request = _update(base.id, chunk_size=64, chunk_overlap=32)
    changed = (await world.knowledge.UpdateKnowledgeBase(request, metadata=owner.metadata)).knowledge_base

    assert [(one.code, one.fields) for one in refusals] == [(Code.INVALID_ARGUMENT, ["chunk_overlap"])] * 5
    assert (changed.chunk_size, changed.chunk_overlap) == (64, 32)


def _update(base_id: str, **fields: Any) -> pb.UpdateKnowledgeBaseRequest:
    return pb.UpdateKnowledgeBaseRequest(id=base_id, **fields)


@pytest.mark.parametrize(("size", "overlap"), [(None, 64), (8192, 64), (512, 64), (511, 63), (256, 32), (32, 4)])
async def test_the_usual_overlap_is_an_eighth_of_a_small_chunk(world: World, size: int | None, overlap: int) -> None:
    owner = await world.tenant()

    base = await _made(world, owner, **({} if size is None else {"chunk_size": size}))

    assert (base.chunk_size, base.chunk_overlap) == (size or 512, overlap)


async def test_of_a_base_without_its_model_all_but_the_size_of_chunks_is_changed(world: World) -> None:
    owner = await world.tenant()
    ours = await _own_embedder(world, owner, "ours")
    base = await _made(world, owner, embedding_model="ours")
    delete = tenant_model_pb2.DeleteTenantModelRequest(id=ours.id)
    await world.models.DeleteTenantModel(delete, metadata=owner.metadata)

    async def changed(**fields: Any) -> pb.KnowledgeBase:
        reply = await world.knowledge.UpdateKnowledgeBase(_update(base.id, **fields), metadata=owner.metadata)
        return reply.knowledge_base

    refusal = await refused(changed(chunk_size=256))
    renamed = await changed(name="other", chunk_size=512, chunk_overlap=8)

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")
    assert (renamed.name, renamed.chunk_overlap) == ("other", 8)
