"""Routes: which models are their targets, which of these answers, and who may call them."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import grpc
import pytest

from atrium.identity.v1 import api_key_pb2
from atrium.model.v1 import chat_pb2, model_pb2
from atrium.model.v1 import route_pb2 as pb
from server.db.database import _whole_here
from server.model.catalogue import Catalogue, Catalogues
from server.model.routes import Target, shuffled
from server.model.service import planning
from tests.factories.models import make_model
from tests.factories.world import World, refused
from tests.fakes.openai_stub import OpenAIStub
from tests.gateways import chat_with, logs_of, said
from tests.rpc.routing import events_of, route_to

Code = grpc.StatusCode
SEED = 3


async def test_a_route_is_made_read_changed_and_removed(router: World) -> None:
    ann = await router.tenant()
    made = await route_to(
        router, ann, "stub-fast-1", "stub-fast-2", fallbacks=pb.RouteFallbacks(outage=["stub-fast-3"])
    )
    twin = await refused(route_to(router, ann, "stub-fast-1"))

    read = (await router.models.GetRoute(pb.GetRouteRequest(id=made.id), metadata=ann.metadata)).route
    change = pb.UpdateRouteRequest(id=made.id, etag=made.etag, alias="quick", cooldown=timedelta())
    change.update_mask.paths.extend(["alias", "cooldown", "fallbacks"])
    changed = (await router.models.UpdateRoute(change, metadata=ann.metadata)).route
    stale = await refused(router.models.UpdateRoute(change, metadata=ann.metadata))
    listed = (await router.models.ListRoutes(pb.ListRoutesRequest(), metadata=ann.metadata)).routes
    await router.models.DeleteRoute(pb.DeleteRouteRequest(id=made.id, etag=changed.etag), metadata=ann.metadata)
    gone = await refused(chat_with(router, ann, "quick"))

    assert (twin.code, twin.reason) == (Code.ALREADY_EXISTS, "ROUTE_ALIAS_TAKEN")
    assert read == made
    assert (made.cooldown.seconds, made.cooldown_after, made.fallbacks.outage) == (30, 3, ["stub-fast-3"])
    assert [(target.model, target.weight, target.priority) for target in made.targets] == [
        ("stub-fast-1", 1, 0),
        ("stub-fast-2", 1, 1),
    ]
    assert (changed.alias, changed.cooldown.seconds, changed.fallbacks, changed.targets) == (
        *("quick", 0, pb.RouteFallbacks()),
        made.targets,
    )
    assert (stale.code, stale.reason, list(listed)) == (Code.ABORTED, "ETAG_MISMATCH", [changed])
    assert (gone.code, gone.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_what_is_no_chat_model_is_no_target(router: World) -> None:
    ann = await router.tenant()

    refusal = await refused(
        route_to(
            *(router, ann, "stub-fast-1", "text-embedding-3-large", "nobody"),
            fallbacks=pb.RouteFallbacks(context_length=["local-embedding"]),
        )
    )

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "ROUTE_TARGET_UNKNOWN")
    assert refusal.fields == ["targets[1].model", "targets[2].model", "fallbacks.context_length[0]"]


async def test_a_model_is_a_target_once_by_whichever_name(router: World) -> None:
    ann = await router.tenant()
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    (model_id,) = [model.id for model in found if model.name == "stub-fast-1"]

    refusal = await refused(route_to(router, ann, "stub-fast-1", "stub-fast-2", model_id))

    assert (refusal.code, refusal.fields) == (Code.INVALID_ARGUMENT, ["targets[2].model"])


async def test_targets_are_chosen_by_weight_and_the_first_priority_first(
    router: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "RANDOM", Random(SEED))
    ann = await router.tenant()
    targets = [
        pb.RouteTarget(model="stub-fast-1", weight=9),
        pb.RouteTarget(model="stub-fast-2", weight=1),
        pb.RouteTarget(model="stub-fast-3", weight=1000, priority=1),
    ]
    await route_to(router, ann, targets=targets)

    answered = [(await chat_with(router, ann, "fast")).model for _ in range(12)]

    random = Random(SEED)
    weighted = [Target(target.model, target.weight, target.priority) for target in targets]
    assert answered == [shuffled(weighted, random)[0] for _ in answered]
    assert set(answered) == {"stub-fast-1", "stub-fast-2"}


async def test_one_model_is_had_at_two_places(router: World, stub: OpenAIStub) -> None:
    ann, platform = await router.tenant(), await router.platform()
    for name, upstream in (("here", "stub-500"), ("there", "stub-fast-2")):
        request = model_pb2.CreateModelRequest(
            name=name,
            upstream_name=upstream,
            provider=model_pb2.Model.PROVIDER_CUSTOM,
            type=model_pb2.Model.TYPE_CHAT,
            price=model_pb2.ModelPrice(input_cost_per_1k="1", output_cost_per_1k="1"),
            base_url=stub.base_url,
            supports_streaming=True,
        )
        made = await router.models.CreateModel(request, metadata=platform.metadata)
    await route_to(router, ann, "here", "there")

    answer = await chat_with(router, ann, "fast")
    shown = await router.models.GetModel(model_pb2.GetModelRequest(id=made.model.id), metadata=ann.metadata)

    assert (answer.model, made.model.upstream_name) == ("there", "stub-fast-2")
    assert [exchange.body["model"] for exchange in stub.exchanges] == ["stub-500", "stub-fast-2"]
    assert not shown.model.HasField("upstream_name"), "where the platform has it from is not for tenants"


async def test_a_deprecated_model_names_its_replacement_and_a_disabled_one_is_passed_over(router: World) -> None:
    ann, platform = await router.tenant(), await router.platform()
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    by_name = {one.name: one for one in found}

    async def update(name: str, **fields: Any) -> model_pb2.Model:
        request = model_pb2.UpdateModelRequest(id=by_name[name].id, etag=by_name[name].etag, **fields)
        return (await router.models.UpdateModel(request, metadata=platform.metadata)).model

    old = await update("stub-fast-1", deprecate_time={"seconds": 1}, replacement="stub-fast-2")
    await update("stub-fast-3", state=model_pb2.Model.STATE_DISABLED)
    unknown = await refused(update("stub-fast-2", replacement="nobody"))
    itself = await refused(update("stub-fast-2", replacement="stub-fast-2"))
    await route_to(router, ann, "stub-fast-3", "stub-fast-1")

    answer = await chat_with(router, ann, "fast")
    events = await events_of(router, ann, "stub-fast-1")
    disabled = await refused(chat_with(router, ann, "stub-fast-3"))
    fresh = await chat_with(router, ann, "stub-fast-2")

    said = model_pb2.Deprecation(model="stub-fast-1", replacement="stub-fast-2")
    assert (old.replacement, old.state) == ("stub-fast-2", model_pb2.Model.STATE_ACTIVE)
    assert (answer.model, answer.deprecation, events[0].started.deprecation) == ("stub-fast-1", said, said)
    assert not fresh.HasField("deprecation")
    assert (disabled.code, disabled.reason) == (Code.FAILED_PRECONDITION, "MODEL_DISABLED")
    assert [refusal.reason for refusal in (unknown, itself)] == ["MODEL_REPLACEMENT_UNKNOWN"] * 2


async def test_where_no_target_can_be_called_the_fallback_for_an_outage_answers(
    router: World, stub: OpenAIStub
) -> None:
    ann, platform = await router.tenant(), await router.platform()
    tooled = await make_model(router, stub.base_url, "stub-tools-1", supports_function_calling=True)
    await route_to(router, ann, "stub-fast-1", fallbacks=pb.RouteFallbacks(outage=[tooled]))
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    (target,) = (one for one in found if one.name == "stub-fast-1")

    with_tools = await chat_with(router, ann, "fast", tools=[chat_pb2.Tool(name="weather")])
    disabling = model_pb2.UpdateModelRequest(id=target.id, state=model_pb2.Model.STATE_DISABLED)
    await router.models.UpdateModel(disabling, metadata=platform.metadata)
    without = await refused(chat_with(router, ann, "stub-fast-1"))
    with_tools_again = await chat_with(router, ann, "fast", tools=[chat_pb2.Tool(name="weather")])

    assert (with_tools.model, with_tools_again.model) == (tooled, tooled)
    assert without.reason == "MODEL_DISABLED"
    assert {exchange.body["model"] for exchange in stub.exchanges} == {tooled}


async def test_a_replacement_is_named_to_those_alone_who_can_call_it(router: World) -> None:
    ann, platform = await router.tenant(), await router.platform()
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    ids = {one.name: one.id for one in found}

    async def update(name: str, state: model_pb2.Model.State.ValueType, **fields: Any) -> model_pb2.Model:
        request = model_pb2.UpdateModelRequest(id=ids[name], state=state, **fields)
        return (await router.models.UpdateModel(request, metadata=platform.metadata)).model

    async def told() -> list[model_pb2.Deprecation]:
        answer = await chat_with(router, ann, "stub-fast-1", cache_ttl={"seconds": 60})
        again = await chat_with(router, ann, "stub-fast-1", cache_ttl={"seconds": 60})
        started = (await events_of(router, ann, "stub-fast-1"))[0].started
        switched = (await events_of(router, ann, "fast", continue_on_failure=True))[3].switched
        return [answer.deprecation, again.deprecation, started.deprecation, switched.deprecation]

    await route_to(router, ann, "stub-cut-2", "stub-fast-1")
    await update("stub-fast-1", model_pb2.Model.STATE_DEPRECATED, replacement="stub-fast-2")
    before = await told()
    await update("stub-fast-2", model_pb2.Model.STATE_DISABLED)
    without = await told()
    await update("stub-fast-2", model_pb2.Model.STATE_DEPRECATED)
    after = await told()

    shown = (
        await router.models.GetModel(model_pb2.GetModelRequest(id=ids["stub-fast-1"]), metadata=ann.metadata)
    ).model
    named = model_pb2.Deprecation(model="stub-fast-1", replacement="stub-fast-2")
    assert (before, after) == ([named] * 4, [named] * 4)
    assert without == [model_pb2.Deprecation(model="stub-fast-1")] * 4
    assert shown.replacement == "stub-fast-2"


async def test_a_key_for_an_alias_is_for_the_route_and_not_for_its_models(router: World) -> None:
    ann = await router.tenant()
    await route_to(router, ann, "stub-fast-1")
    asked = api_key_pb2.CreateApiKeyRequest(name="key", scopes=["models:execute"], allowed_models=["fast"])
    secret = (await router.identity.CreateApiKey(asked, metadata=ann.metadata)).secret
    key = (("x-api-key", secret),)

    answer = await router.models.Chat(chat_pb2.ChatRequest(**said("fast")), metadata=key)
    refusal = await refused(router.models.Chat(chat_pb2.ChatRequest(**said("stub-fast-1")), metadata=key))
    found = (await router.models.ListModels(model_pb2.ListModelsRequest(), metadata=ann.metadata)).models
    ids = {model.name: model.id for model in found}
    by_id = await refused(router.models.Chat(chat_pb2.ChatRequest(**said(ids["stub-fast-1"])), metadata=key))
    asked.allowed_models[:] = ["stub-fast-1"]
    other = (("x-api-key", (await router.identity.CreateApiKey(asked, metadata=ann.metadata)).secret),)
    await router.models.Chat(chat_pb2.ChatRequest(**said(ids["stub-fast-1"])), metadata=other)
    assert by_id.reason == "MODEL_NOT_ALLOWED"

    (log, _) = await logs_of(router, ann)
    assert answer.model == "stub-fast-1"
    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert log.api_key_id


async def test_another_tenants_route_is_not_there(router: World) -> None:
    ann, other = await router.tenant(), await router.tenant()
    await route_to(router, ann, "stub-fast-1")

    refusal = await refused(chat_with(router, other, "fast"))

    assert (refusal.code, refusal.reason) == (Code.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_what_can_be_called_is_read_before_a_new_route_is_held(
    router: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a connection and waits for another one waits for others who do the same."""
    ann = await router.tenant()
    of, held = Catalogues.of, []

    async def looked(catalogues: Catalogues, tenant_id: UUID) -> Catalogue:
        whole = _whole_here()
        held.append(whole is not None and whole.tx is not None)
        return await of(catalogues, tenant_id)

    monkeypatch.setattr(Catalogues, "of", looked)
    await route_to(router, ann, "stub-fast-1", idempotency_key="once")

    assert set(held) == {False}
