"""What the stubbed provider may be asked to do in Anthropic's protocol, as `openai_behaviours` has it for OpenAI's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.openai_behaviours import PAUSE_SECONDS, RETRY_AFTER, cut_refusal, words
from tests.fakes.openai_exchange import JSON, SECRET, Exchange

READ = {"input_tokens": 5, "cache_creation_input_tokens": 2, "cache_read_input_tokens": 4, "output_tokens": 1}

Behaviour = Callable[[Exchange, int], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}
"""By name. Each takes the exchange, and the number at the end of the model's name (3 where there is none)."""


def behaviour(found: Behaviour) -> Behaviour:
    """Files it under its name."""
    BEHAVIOURS[found.__name__.replace("_", "-")] = found
    return found


async def _event(exchange: Exchange, kind: str, **fields: Any) -> None:
    payload = json.dumps({"type": kind, **fields})
    await exchange.part(f"event: {kind}\ndata: {payload}\n\n".encode())


async def _begin(exchange: Exchange) -> None:
    await exchange.begin()
    message = {"id": "msg_stub", "role": "assistant", "content": [], "usage": READ}
    await _event(exchange, "message_start", message=message)
    await _event(exchange, "ping")


async def _block(exchange: Exchange, index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> None:
    await _event(exchange, "content_block_start", index=index, content_block=block)
    for delta in deltas:
        await _event(exchange, "content_block_delta", index=index, delta=delta)
        exchange.tokens += 1
        exchange.started.set()
    await _event(exchange, "content_block_stop", index=index)


async def _write(exchange: Exchange, count: int) -> None:
    deltas = [{"type": "text_delta", "text": word} for word in words(count)]
    await _block(exchange, 0, {"type": "text", "text": ""}, *deltas)


async def _end(exchange: Exchange, reason: str, **usage: Any) -> None:
    used = {"output_tokens": exchange.tokens, **usage}
    await _event(exchange, "message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=used)
    await _event(exchange, "message_stop")
    await exchange.part(b"")


async def _refuse(exchange: Exchange, status: str, kind: str, message: str, headers: str = JSON) -> None:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    await exchange.respond(status, json.dumps(error).encode(), headers)


async def _whole(exchange: Exchange, reason: str | None, *content: dict[str, Any]) -> None:
    usage = {**READ, "output_tokens": 9}
    message = {"id": "msg_stub", "type": "message", "content": content, "stop_reason": reason, "usage": usage}
    await exchange.respond("200 OK", json.dumps(message).encode())


@behaviour
async def fast(exchange: Exchange, count: int) -> None:
    """So many tokens, as fast as they are taken; in one piece where no stream was asked for."""
    if not exchange.body["stream"]:
        await _whole(exchange, "end_turn", {"type": "text", "text": "".join(words(count))})
        return
    await _begin(exchange)
    await _write(exchange, count)
    await _end(exchange, "end_turn")


@behaviour
async def reasoning(exchange: Exchange, count: int) -> None:
    """As Claude's models from Opus 4.7 on: they take no temperature."""
    if "temperature" in exchange.body:
        text = "`temperature` is deprecated for this model."
        await _refuse(exchange, "400 Bad Request", "invalid_request_error", text)
        return
    await fast(exchange, count)


@behaviour
async def no_usage(exchange: Exchange, count: int) -> None:
    """So many tokens, at whose end nothing tells what they were."""
    if not exchange.body["stream"]:
        content = [{"type": "text", "text": "".join(words(count))}]
        await exchange.respond("200 OK", json.dumps({"content": content, "stop_reason": "end_turn"}).encode())
        return
    await _begin(exchange)
    await _write(exchange, count)
    await _event(exchange, "message_delta", delta={"stop_reason": "end_turn"})
    await _event(exchange, "message_stop")
    await exchange.part(b"")


@behaviour
async def noughts(exchange: Exchange, count: int) -> None:
    """So many tokens, of which nothing but noughts is told."""
    await exchange.begin()
    await _event(exchange, "message_start", message={"usage": {"input_tokens": 0, "output_tokens": 0}})
    await _write(exchange, count)
    exchange.tokens = 0
    await _end(exchange, "end_turn")


@behaviour
async def thinking(exchange: Exchange, count: int) -> None:
    """So many thoughts, and then a token."""
    await _begin(exchange)
    thoughts = [{"type": "thinking_delta", "thinking": SECRET} for _ in range(count)]
    await _block(exchange, 0, {"type": "thinking", "thinking": ""}, *thoughts)
    await _block(exchange, 1, {"type": "text", "text": ""}, {"type": "text_delta", "text": "t0"})
    await _end(exchange, "end_turn", output_tokens_details={"thinking_tokens": count})


@behaviour
async def tools(exchange: Exchange, count: int) -> None:
    """A word, and then two tools, whose arguments come in pieces where a stream was asked for."""
    if not exchange.body["stream"]:
        calls = [{"type": "tool_use", "id": f"call-{n}", "name": "t", "input": {"n": n}} for n in (1, 2)]
        await _whole(exchange, "tool_use", {"type": "text", "text": "Look:"}, *calls)
        return
    await _begin(exchange)
    await _block(exchange, 0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Look:"})
    for index, name in ((1, "first"), (2, "second")):
        pieces = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", '{"n":', f"{index}}}")]
        await _block(exchange, index, {"type": "tool_use", "id": f"call-{index}", "name": name, "input": {}}, *pieces)
    await _end(exchange, "tool_use")


@behaviour
async def bare_call(exchange: Exchange, count: int) -> None:
    """A call without arguments, which comes as the API has it: with an empty part of them."""
    block = {"type": "tool_use", "id": "call-1", "name": "weather", "input": {}}
    if not exchange.body["stream"]:
        await _whole(exchange, "tool_use", block)
        return
    await _begin(exchange)
    await _block(exchange, 0, block, {"type": "input_json_delta", "partial_json": ""})
    await _end(exchange, "tool_use")


@behaviour
async def gateway(exchange: Exchange, count: int) -> None:
    """A thought, a word and a call, each whole where it begins; the call's arguments come once more where there are so
    many parts of them, and no block's end is told where there are none.
    """
    await _begin(exchange)
    call = {"type": "tool_use", "id": "call-1", "name": "weather", "input": {"n": 1}}
    blocks = ({"type": "thinking", "thinking": "Well"}, {"type": "text", "text": "Look:"}, call)
    for index, block in enumerate(blocks):
        await _event(exchange, "content_block_start", index=index, content_block=block)
        exchange.tokens += 1
        if block is call:
            for part in ('{"n":', "1}")[:count]:
                delta = {"type": "input_json_delta", "partial_json": part}
                await _event(exchange, "content_block_delta", index=index, delta=delta)
        if count:
            await _event(exchange, "content_block_stop", index=index)
    await _end(exchange, "tool_use")


@behaviour
async def twice(exchange: Exchange, count: int) -> None:
    """Two tools in blocks of one number."""
    await _begin(exchange)
    for name in ("first", "second"):
        await _block(exchange, 0, {"type": "tool_use", "id": "call", "name": name, "input": {}})
    await _end(exchange, "tool_use")


@behaviour
async def ending(exchange: Exchange, count: int) -> None:
    """A token, and then an end for the reason of that number."""
    reasons = ("end_turn", "stop_sequence", "max_tokens", "model_context_window_exceeded", "refusal", "pause_turn")
    await _begin(exchange)
    await _write(exchange, 1)
    await _end(exchange, reasons[count])


@behaviour
async def stall(exchange: Exchange, count: int) -> None:
    """So many tokens, and then nothing, ever."""
    await _begin(exchange)
    await _write(exchange, count)
    await asyncio.Event().wait()


@behaviour
async def silent(exchange: Exchange, count: int) -> None:
    """Nothing, ever."""
    await asyncio.Event().wait()


@behaviour
async def cut(exchange: Exchange, count: int) -> None:
    """So many tokens, and then a closed connection."""
    await _begin(exchange)
    await _write(exchange, count)
    exchange.connection.hang_up()


@behaviour
async def cut_sentences(exchange: Exchange, count: int) -> None:
    """So many parts of three tokens (four bytes each), and then a closed connection."""
    await _begin(exchange)
    await _block(exchange, 0, {"type": "text", "text": ""}, *[{"type": "text_delta", "text": "three words "}] * count)
    exchange.connection.hang_up()


@behaviour
async def unended(exchange: Exchange, count: int) -> None:
    """So many tokens, and no word of the end."""
    if not exchange.body["stream"]:
        await _whole(exchange, None, {"type": "text", "text": "".join(words(count))})
        return
    await _begin(exchange)
    await _write(exchange, count)
    await exchange.part(b"")


@behaviour
async def open_end(exchange: Exchange, count: int) -> None:
    """So many tokens and their end, and then pings without end: neither the last event nor a closed connection."""
    await _begin(exchange)
    await _write(exchange, count)
    await _event(exchange, "message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": count})
    while True:
        await _event(exchange, "ping")
        await asyncio.sleep(PAUSE_SECONDS)


@behaviour
async def endless(exchange: Exchange, count: int) -> None:
    """Tokens without end."""
    await _begin(exchange)
    await _event(exchange, "content_block_start", index=0, content_block={"type": "text", "text": ""})
    while True:
        await _event(exchange, "content_block_delta", index=0, delta={"type": "text_delta", "text": "x"})


@behaviour
async def broken_sse(exchange: Exchange, count: int) -> None:
    """So many tokens, and then an event that is no JSON."""
    await _begin(exchange)
    await _write(exchange, count)
    await exchange.part(f'data: {{"type": {SECRET}\n\n'.encode())
    await exchange.part(b"")


@behaviour
async def wrong_json(exchange: Exchange, count: int) -> None:
    """So many tokens, and then JSON of another shape."""
    await _begin(exchange)
    await _write(exchange, count)
    await _event(exchange, "content_block_delta", index=0, delta=[SECRET])
    await exchange.part(b"")


async def _fail(exchange: Exchange, kind: str) -> None:
    await _begin(exchange)
    await _write(exchange, 2)
    await _event(exchange, "error", error={"type": kind, "message": SECRET})
    await exchange.part(b"")


@behaviour
async def overloaded(exchange: Exchange, count: int) -> None:
    """Two tokens, and then the word that there is too much to do."""
    await _fail(exchange, "overloaded_error")


@behaviour
async def limited(exchange: Exchange, count: int) -> None:
    """Two tokens, and then a limit of the rate."""
    await _fail(exchange, "rate_limit_error")


@behaviour
async def failing(exchange: Exchange, count: int) -> None:
    """Two tokens, and then an error of the provider's own."""
    await _fail(exchange, "api_error")


@behaviour
async def status(exchange: Exchange, count: int) -> None:
    """That status. It is what `stub-429` and the like ask for."""
    await _refuse(exchange, f"{count} {SECRET}", "stub_error", SECRET, f"{JSON}\r\nretry-after: {RETRY_AFTER}")


@behaviour
async def too_long(exchange: Exchange, count: int) -> None:
    """A refusal, because the conversation is longer than the model's context."""
    text = "prompt is too long: 208310 tokens > 200000 maximum"
    await _refuse(exchange, "400 Bad Request", "invalid_request_error", text)


behaviour(cut_refusal)
