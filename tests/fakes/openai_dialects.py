"""How other endpoints, and other models, differ from what the stubbed provider mostly does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.fakes.openai_behaviours import PAUSE_SECONDS, behaviour, fast, words
from tests.fakes.openai_exchange import SECRET, Exchange


@behaviour
async def reasoning(exchange: Exchange, count: int) -> None:
    """As OpenAI's reasoning models: they take max_completion_tokens, and no temperature."""
    for field in ("max_tokens", "temperature"):
        if field in exchange.body:
            error = {
                "message": SECRET,
                "type": "invalid_request_error",
                "param": field,
                "code": "unsupported_parameter",
            }
            await exchange.respond("400 Bad Request", json.dumps({"error": error}).encode())
            return
    await fast(exchange, count)


@behaviour
async def strict(exchange: Exchange, count: int) -> None:
    """As Mistral's API, which knows no options of a stream, and tells what was used without them."""
    if "stream_options" in exchange.body:
        wrong = {"type": "extra_forbidden", "loc": ["body", "stream_options", "include_usage"], "msg": SECRET}
        error = {"object": "error", "message": {"detail": [wrong]}, "type": "invalid_request_error", "param": None}
        await exchange.respond("422 Unprocessable Entity", json.dumps({**error, "code": None}).encode())
        return
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=exchange.usage())
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def context(exchange: Exchange, count: int) -> None:
    """A context of so many tokens (four bytes each) for what is read and written, which is refused as vLLM does it."""
    read = sum(len(message["content"]) // 4 for message in exchange.body["messages"])
    if read + exchange.body["max_tokens"] <= count:
        await fast(exchange, 3)
        return
    told = f"'max_tokens' is too large: {SECRET}. This model's maximum context length is {count} tokens."
    error = {"message": told, "type": "BadRequestError", "param": "max_tokens", "code": 400}
    await exchange.respond("400 Bad Request", json.dumps({"error": error}).encode())


@behaviour
async def cut_at_its_end(exchange: Exchange, count: int) -> None:
    """Everything but the last line, and then a closed connection."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=exchange.usage())
    exchange.connection.hang_up()


@behaviour
async def cut_tools(exchange: Exchange, count: int) -> None:
    """A part of a tool's call, and then a closed connection."""
    await exchange.begin()
    function = {"name": "weather", "arguments": '{"city":'}
    call = {"index": 0, "id": "call-1", "type": "function", "function": function}
    await exchange.event(choices=[{"index": 0, "delta": {"tool_calls": [call]}}])
    exchange.connection.hang_up()


@behaviour
async def cut_sentences(exchange: Exchange, count: int) -> None:
    """So many parts of ten tokens (four bytes each), and then a closed connection."""
    await exchange.begin()
    await exchange.write(*["ten words " * 4] * count)
    exchange.connection.hang_up()


@behaviour
async def noughts(exchange: Exchange, count: int) -> None:
    """So many tokens, each with a running count as DeepSeek and Kimi give it, of noughts, and then nothing, ever."""
    await exchange.begin()
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    for word in words(count):
        await exchange.event(choices=[{"index": 0, "delta": {"content": word}, "finish_reason": None}], usage=usage)
    await asyncio.Event().wait()


@behaviour
async def cut_thoughts(exchange: Exchange, count: int) -> None:
    """So many thoughts of ten tokens (four bytes each), which some show, and then a closed connection."""
    await exchange.begin()
    for _ in range(count):
        await exchange.event(choices=[{"index": 0, "delta": {"reasoning_content": "ten words " * 4}}])
    exchange.connection.hang_up()


@behaviour
async def flaky_thoughts(exchange: Exchange, count: int) -> None:
    """So many thoughts of ten tokens and a closed connection for the first who asks, and an answer for the next."""
    if exchange.number == 1:
        await cut_thoughts(exchange, count)
    else:
        await fast(exchange, 3)


@behaviour
async def withheld(exchange: Exchange, count: int) -> None:
    """Not a word, since the filter keeps the whole answer back."""
    await exchange.begin()
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "content_filter"}])
    await exchange.event(choices=[], usage=exchange.usage())
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def wrong_index(exchange: Exchange, count: int) -> None:
    """So many tokens, and then a tool's call of an index that nothing of 32 bits holds."""
    await exchange.begin()
    await exchange.write(*words(count))
    call = {"index": 2**31, "id": "call-1", "function": {"name": SECRET, "arguments": "{}"}}
    await exchange.event(choices=[{"index": 0, "delta": {"tool_calls": [call]}}])
    await exchange.part(b"")


async def _in_parts(exchange: Exchange, *parts: dict[str, Any]) -> None:
    """Parts of calls of tools, each in an event that comes by itself."""
    await exchange.begin()
    for part in parts:
        await exchange.event(choices=[{"index": 0, "delta": {"tool_calls": [part]}, "finish_reason": None}])
        await asyncio.sleep(PAUSE_SECONDS)


async def _called(exchange: Exchange, *parts: dict[str, Any]) -> None:
    await _in_parts(exchange, *parts)
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def id_first(exchange: Exchange, count: int) -> None:
    """A call whose id, name and arguments come one after the other."""
    functions = ({"name": "weather"}, {"arguments": '{"n":'}, {"arguments": "1}"})
    parts = ({"index": 0, "function": function} for function in functions)
    await _called(exchange, {"index": 0, "id": "call-1", "type": "function"}, *parts)


@behaviour
async def cut_id(exchange: Exchange, count: int) -> None:
    """A call's id, and then a closed connection."""
    await _in_parts(exchange, {"index": 0, "id": "call-1", "type": "function"})
    exchange.connection.hang_up()


@behaviour
async def one_index(exchange: Exchange, count: int) -> None:
    """So many calls, all of the first index."""
    named = ({"id": f"call-{n}", "function": {"name": "weather", "arguments": f'{{"n":{n}}}'}} for n in range(count))
    await _called(exchange, *({"index": 0, **call} for call in named))


@behaviour
async def bare_call(exchange: Exchange, count: int) -> None:
    """A call without arguments."""
    await _called(exchange, {"index": 0, "id": "call-1", "function": {"name": "weather", "arguments": ""}})


@behaviour
async def filtered_later(exchange: Exchange, count: int) -> None:
    """So many tokens, and behind their end what Azure's filter says of them when it has looked."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices=[{"index": 0, "content_filter_results": {}, "finish_reason": None}])
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    await exchange.event(choices=[{"index": 0, "content_filter_results": {}, "finish_reason": "content_filter"}])
    await exchange.event(choices=[], usage=exchange.usage())
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def refusing(exchange: Exchange, count: int) -> None:
    """A refusal in so many words, as OpenAI's models have it where an answer in a given form is asked for."""
    exchange.tokens = count
    if not exchange.body.get("stream"):
        message = {"role": "assistant", "content": None, "refusal": SECRET}
        await exchange.whole(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
        return
    await exchange.begin()
    for _ in range(count):
        await exchange.event(choices=[{"index": 0, "delta": {"refusal": SECRET}, "finish_reason": None}])
    await exchange.end()


@behaviour
async def prohibited(exchange: Exchange, count: int) -> None:
    """Nothing but so many thoughts that are not shown, as Gemini has it where its filter keeps the answer back."""
    exchange.tokens = count
    choice = {"index": 0, "finish_reason": "content_filter: PROHIBITED_CONTENT"}
    if not exchange.body.get("stream"):
        await exchange.whole(choices=[choice])
        return
    await exchange.begin()
    await exchange.event(choices=[choice], usage=exchange.usage())
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def open_end(exchange: Exchange, count: int) -> None:
    """So many tokens and their end, and then comments without end: neither the last line nor a closed connection."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    await exchange.event(choices=[], usage=exchange.usage())
    while True:
        await exchange.part(b": still here\n\n")
        await asyncio.sleep(PAUSE_SECONDS)


@behaviour
async def parrot(exchange: Exchange, count: int) -> None:
    """What it was asked behind the last colon, a word at a time."""
    said = exchange.body["messages"][-1]["content"].rpartition(": ")[2]
    await exchange.begin()
    await exchange.write(*(f"{word} " for word in said.split(" ")))
    await exchange.end()
