"""Routes over a stubbed provider's models: how a test makes one, and what it asks of it."""

from __future__ import annotations

from typing import Any

from atrium.model.v1 import route_pb2 as pb
from atrium.model.v1 import stream_pb2
from tests.factories.world import Person, World
from tests.gateways import stream_from


async def route_to(world: World, person: Person, *models: str, **fields: Any) -> pb.Route:
    """A route to these models, one after the other, that tries each once; it is called `fast`."""
    targets = [pb.RouteTarget(model=name, priority=place) for place, name in enumerate(models)]
    given: dict[str, Any] = {"alias": "fast", "targets": targets, "retry": pb.RouteRetry(max_attempts=1), **fields}
    return (await world.models.CreateRoute(pb.CreateRouteRequest(**given), metadata=person.metadata)).route


async def events_of(world: World, person: Person, name: str, **fields: Any) -> list[stream_pb2.StreamChatResponse]:
    """The whole stream of that route, or model."""
    return [event async for event in stream_from(world, person, name, **fields)]


async def health_of(world: World, person: Person, route: pb.Route) -> dict[str, Any]:
    """The state of each of the route's targets, by its model."""
    return {name: health.state for name, health in (await targets_of(world, person, route)).items()}


async def targets_of(world: World, person: Person, route: pb.Route) -> dict[str, pb.TargetHealth]:
    """How each of the route's targets is doing, by its model."""
    found = await world.models.GetRoute(pb.GetRouteRequest(id=route.id), metadata=person.metadata)
    return {health.model: health for health in found.route.health}
