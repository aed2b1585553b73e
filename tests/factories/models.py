"""Models of a stubbed provider, which the platform makes known."""

from __future__ import annotations

from typing import Any

from atrium.model.v1 import model_pb2
from tests.factories.world import World


async def make_model(world: World, base_url: str, name: str, *, usd: int = 1000, **fields: Any) -> str:
    """The name of the provider's model of that name: one that chats and streams, unless the fields say otherwise.

    `usd`: what 1,000 tokens cost, read or written.
    """
    given: dict[str, Any] = {
        "provider": model_pb2.Model.PROVIDER_CUSTOM,
        "type": model_pb2.Model.TYPE_CHAT,
        "price": model_pb2.ModelPrice(input_cost_per_1k=str(usd), output_cost_per_1k=str(usd)),
        "supports_streaming": True,
        **fields,
    }
    request = model_pb2.CreateModelRequest(name=name, base_url=base_url, **given)
    platform = await world.platform()
    await world.models.CreateModel(request, metadata=platform.metadata)
    return name
