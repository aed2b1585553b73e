"""A model that does what the conversation tells it to, turn by turn."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.openai_behaviours import behaviour
from tests.fakes.openai_exchange import Exchange


@behaviour
async def script(exchange: Exchange, count: int) -> None:
    """The user's first message that ends with a JSON list has what it does in each turn: `text`, `calls` (each a tool's
    name and arguments; `ids`: theirs), or `refuses`, a status. Where it may call nothing, it calls nothing.
    """
    messages = exchange.body["messages"]
    place, turns = next(found for found in enumerate(map(_turns, messages)) if found[1])
    number = sum(message["role"] == "assistant" for message in messages[place:])
    turn: dict[str, Any] = turns[number]
    if "refuses" in turn:
        await exchange.refuse(turn["refuses"], "stub_error")
        return
    await exchange.begin()
    await exchange.write(*(f"{word} " for word in turn.get("text", "").split()))
    calls = turn.get("calls", []) if exchange.body.get("tool_choice") != "none" else []
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments)}
        call_id = turn["ids"][index] if "ids" in turn else f"call-{number}-{index}"
        delta = {"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]}
        await exchange.event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
    if calls:
        await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
        await exchange.event(choices=[], usage=exchange.usage())
        await exchange.part(b"data: [DONE]\n\n")
        await exchange.part(b"")
    else:
        await exchange.end()


def _turns(message: dict[str, Any]) -> list[dict[str, Any]]:
    _, bracket, rest = message["content"].partition("[{")
    return json.loads(bracket + rest) if bracket and message["role"] == "user" else []
