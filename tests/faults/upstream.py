"""A server with a stubbed provider of models behind it, somebody who calls these, and what is asked of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from atrium.model.v1 import call_log_pb2, chat_pb2, model_pb2, stream_pb2
from tests.databases import Scratch
from tests.factories.models import make_model
from tests.factories.world import Person, World
from tests.fakes.openai_stub import OpenAIStub

NOT_FOR_EVER = 20.0

EMBEDDING = ("stub-embed", "stub-422", "stub-silent-2", "down-embed")
"""What the names of the models begin with that are embedding models here; the others chat."""

DOWN = "down"
"""What the names of the models begin with whose provider is not there: nobody listens where it should be."""

_numbers = count(1)


@dataclass(frozen=True)
class Upstream:
    """A server with one database connection, a stubbed provider behind it, and somebody who calls."""

    world: World
    stub: OpenAIStub
    person: Person
    port: int
    scratch: Scratch
    down: str
    """Where nobody listens."""
    known: set[str] = field(default_factory=set)

    async def model(self, name: str) -> str:
        """The provider's model of that name, which the server knows of from now on."""
        if name not in self.known:
            price = model_pb2.ModelPrice(
                input_cost_per_1k="500", output_cost_per_1k="2000", cached_input_cost_per_1k="100"
            )
            embeds = {"type": model_pb2.Model.TYPE_EMBEDDING, "dimensions": 8} if name.startswith(EMBEDDING) else {}
            base_url = self.down if name.startswith(DOWN) else self.stub.base_url
            await make_model(self.world, base_url, name, price=price, **embeds)
            self.known.add(name)
        while not self.stub.arrivals.empty():  # those of the tests before
            self.stub.arrivals.get_nowait()
        return name

    async def logs(self, trace_id: str) -> list[call_log_pb2.CallLog]:
        reply = await self.world.models.ListCallLogs(
            call_log_pb2.ListCallLogsRequest(trace_id=trace_id), metadata=self.person.metadata
        )
        return list(reply.call_logs)

    async def log_at_last(self, trace_id: str) -> call_log_pb2.CallLog:
        """The record of a call that nobody waits for any more."""
        async with asyncio.timeout(NOT_FOR_EVER):
            while not (found := await self.logs(trace_id)):
                pass
        return found[0]

    def traced(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """A trace of its own, and the metadata of a call in it."""
        trace_id = f"{next(_numbers):032x}"
        return trace_id, (*self.person.metadata, ("traceparent", f"00-{trace_id}-{'cd' * 8}-01"))


def chat_of(model: str, **fields: Any) -> chat_pb2.ChatRequest:
    """A request for a whole answer of that model."""
    return chat_pb2.ChatRequest(**_fields(model, **fields))


def stream_of(model: str, **fields: Any) -> stream_pb2.StreamChatRequest:
    """A request for a stream of that model."""
    return stream_pb2.StreamChatRequest(**_fields(model, **fields))


def _fields(model: str, **fields: Any) -> dict[str, Any]:
    message = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="four words of prompt")
    return {"model": model, "messages": [message], **fields}
