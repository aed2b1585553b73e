"""What the stubbed provider may be asked to do, by the model's name: `stub-fast-200`, `stub-cut`, `stub-429` ..."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator

from tests.fakes.openai_exchange import JSON, SECRET, Exchange

RETRY_AFTER = 7
PAUSE_SECONDS = 0.02
"""Between the tokens of `stub-slow`."""

Behaviour = Callable[[Exchange, int], Awaitable[None]]
BEHAVIOURS: dict[str, Behaviour] = {}
"""By name. Each takes the exchange, and the number at the end of the model's name (3 where there is none)."""


def behaviour(found: Behaviour) -> Behaviour:
    """Files it under its name."""
    BEHAVIOURS[found.__name__.replace("_", "-")] = found
    return found


def words(count: int) -> Iterator[str]:
    """The tokens of a stubbed answer."""
    return (f"t{number} " for number in range(count))


@behaviour
async def fast(exchange: Exchange, count: int) -> None:
    """So many tokens, as fast as they are taken; in one piece where no stream was asked for."""
    if not exchange.body.get("stream"):
        exchange.tokens = count
        message = {"role": "assistant", "content": "".join(words(count))}
        await exchange.whole(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])
        return
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.end()


@behaviour
async def slow(exchange: Exchange, count: int) -> None:
    """So many tokens at the pace of a model."""
    await exchange.begin()
    for word in words(count):
        await exchange.write(word)
        await asyncio.sleep(PAUSE_SECONDS)
    await exchange.end()


@behaviour
async def held(exchange: Exchange, count: int) -> None:
    """One token, and the others of so many when it is told to go on."""
    await exchange.begin()
    first, *others = words(count)
    await exchange.write(first)
    await exchange.go_on.wait()
    await exchange.write(*others)
    await exchange.end()


@behaviour
async def late(exchange: Exchange, count: int) -> None:
    """Nothing for so many tenths of a second, and then the answer."""
    await asyncio.sleep(count / 10)
    await fast(exchange, 3)


@behaviour
async def silent(exchange: Exchange, count: int) -> None:
    """Nothing, ever."""
    await asyncio.Event().wait()


@behaviour
async def stall(exchange: Exchange, count: int) -> None:
    """So many tokens, and then nothing, ever."""
    await exchange.begin()
    await exchange.write(*words(count))
    await asyncio.Event().wait()


@behaviour
async def ping(exchange: Exchange, count: int) -> None:
    """Comments that keep the connection alive, and never a token."""
    await exchange.begin()
    while True:
        await exchange.part(b": still here\n\n")
        await asyncio.sleep(PAUSE_SECONDS)


@behaviour
async def cut(exchange: Exchange, count: int) -> None:
    """So many tokens, and then a closed connection; half a body where no stream was asked for."""
    if not exchange.body.get("stream"):
        await exchange.send_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{")
        exchange.connection.hang_up()
        return
    await exchange.begin()
    await exchange.write(*words(count))
    exchange.connection.hang_up()


@behaviour
async def hang_up(exchange: Exchange, count: int) -> None:
    """A closed connection in place of an answer."""
    exchange.connection.hang_up()


@behaviour
async def once(exchange: Exchange, count: int) -> None:
    """An answer to a connection's first request; the next finds it closed, though nothing had said so."""
    if exchange.connection.served:
        exchange.connection.hang_up()
    else:
        await fast(exchange, count)


@behaviour
async def unfinished(exchange: Exchange, count: int) -> None:
    """So many tokens and an orderly end, that says neither why nor that it is one."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.part(b"")


@behaviour
async def no_done(exchange: Exchange, count: int) -> None:
    """Everything but the last line."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], usage=exchange.usage())
    await exchange.part(b"")


@behaviour
async def no_usage(exchange: Exchange, count: int) -> None:
    """An answer whose cost is not told."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.end(usage=False)


@behaviour
async def long_words(exchange: Exchange, count: int) -> None:
    """So many tokens of three times the usual length, whose cost is not told."""
    await exchange.begin()
    await exchange.write(*["twelve bytes"] * count)
    await exchange.end(usage=False)


@behaviour
async def timings(exchange: Exchange, count: int) -> None:
    """So many tokens, each with a running count as llama.cpp gives it, and then nothing, ever."""
    await exchange.begin()
    for number, word in enumerate(words(count), 1):
        choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
        await exchange.event(choices=[choice], timings={"cache_n": 4, "prompt_n": 6, "predicted_n": number})
    await asyncio.Event().wait()


@behaviour
async def endless(exchange: Exchange, count: int) -> None:
    """Tokens of so many characters, without end."""
    await exchange.begin()
    while True:
        await exchange.write("x" * count)


@behaviour
async def hollow(exchange: Exchange, count: int) -> None:
    """Events without end, so many milliseconds apart, and not a token in them."""
    await exchange.begin()
    while True:
        await exchange.write("")
        await asyncio.sleep(count / 1000)


@behaviour
async def counting(exchange: Exchange, count: int) -> None:
    """What was used so far, without end, so many milliseconds apart, and not a token."""
    await exchange.begin()
    while True:
        await exchange.event(choices=[], usage=exchange.usage())
        await asyncio.sleep(count / 1000)


@behaviour
async def nul(exchange: Exchange, count: int) -> None:
    """A token with a character that no text of PostgreSQL's has."""
    await exchange.begin()
    await exchange.write("a\0b")
    await exchange.end()


@behaviour
async def flood(exchange: Exchange, count: int) -> None:
    """One line without end."""
    await exchange.begin()
    await exchange.part(b"data: ")
    while True:
        await exchange.part(b"x" * 65_536)


@behaviour
async def huge(exchange: Exchange, count: int) -> None:
    """One token of so many KiB."""
    await exchange.begin()
    await exchange.write("x" * 1024 * count)
    await exchange.end()


@behaviour
async def split(exchange: Exchange, count: int) -> None:
    """An answer in Chinese with CRLF line ends and comments, in pieces that stop in the middle of everything."""
    answer = b": hello\r\n\r\n"
    for word in words(count):
        choice = {"index": 0, "delta": {"content": "你好" + word}, "finish_reason": None}
        answer += (
            b"event: chunk\r\ndata:" + json.dumps({"choices": [choice]}, ensure_ascii=False).encode() + b"\r\n\r\n"
        )
    answer += b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    await exchange.begin()
    for start in range(0, len(answer), 7):
        await exchange.part(answer[start : start + 7])
        await asyncio.sleep(0)
    await exchange.part(b"")


@behaviour
async def broken_sse(exchange: Exchange, count: int) -> None:
    """So many tokens, and then an event that is no JSON."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.part(f'data: {{"choices": [{SECRET}\n\n'.encode())
    await exchange.part(b"")


@behaviour
async def wrong_json(exchange: Exchange, count: int) -> None:
    """So many tokens, and then JSON of another shape."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.event(choices={SECRET: 1})
    await exchange.part(b"")


@behaviour
async def error_event(exchange: Exchange, count: int) -> None:
    """So many tokens, and then an error in the stream."""
    await exchange.begin()
    await exchange.write(*words(count))
    await exchange.part(f'data: {{"error": {{"message": "{SECRET}"}}}}\n\n'.encode())
    await exchange.part(b"")


@behaviour
async def html(exchange: Exchange, count: int) -> None:
    """A page, as something in between answers."""
    await exchange.respond("200 OK", f"<html>{SECRET}</html>".encode(), "content-type: text/html")


@behaviour
async def status(exchange: Exchange, count: int) -> None:
    """That status. It is what `stub-429` and the like ask for."""
    wait = exchange.headers.get("x-stub-retry-after", RETRY_AFTER)
    await exchange.refuse(f"{count} {SECRET}", "stub_error", f"{JSON}\r\nretry-after: {wait}")


@behaviour
async def cut_refusal(exchange: Exchange, count: int) -> None:
    """That status, half of what there is to say of it, and then a closed connection."""
    head = f"HTTP/1.1 {count} {SECRET}\r\n{JSON}\r\nretry-after: 60\r\ncontent-length: 999\r\n\r\n{{"
    await exchange.send_raw(head.encode())
    exchange.connection.hang_up()


@behaviour
async def redirect(exchange: Exchange, count: int) -> None:
    """Elsewhere: to the same path on that port."""
    await exchange.respond("307 Elsewhere", b"", f"location: http://127.0.0.1:{count}{exchange.path}")


@behaviour
async def too_long(exchange: Exchange, count: int) -> None:
    """A refusal, because the conversation is longer than the model's context."""
    await exchange.refuse("400 Bad Request", "context_length_exceeded")


@behaviour
async def filtered(exchange: Exchange, count: int) -> None:
    """A refusal, because of what the conversation is about."""
    await exchange.refuse("400 Bad Request", "content_filter")


@behaviour
async def flaky(exchange: Exchange, count: int) -> None:
    """An outage for the first so many who ask, whatever for, and an answer for the next."""
    if exchange.number <= count:
        await exchange.refuse("503 Unavailable", "stub_error", f"{JSON}\r\nretry-after: 0")
    else:
        await fast(exchange, 3)


@behaviour
async def tools(exchange: Exchange, count: int) -> None:
    """Calls of the first tool that was offered, so many, each in three parts."""
    name = exchange.body["tools"][0]["function"]["name"]
    if not exchange.body.get("stream"):
        function = {"name": name, "arguments": '{"city":"Oslo"}'}
        calls = [{"id": f"call-{index}", "type": "function", "function": function} for index in range(count)]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        await exchange.whole(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
        return
    await exchange.begin()
    for index in range(count):
        for part in (
            {"id": f"call-{index}", "function": {"name": name}},
            *({"function": {"arguments": text}} for text in ('{"city":', '"Oslo"}')),
        ):
            delta = {"tool_calls": [{"index": index, "type": "function", **part}]}
            await exchange.event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
    await exchange.event(choices=[{"index": 0, "delta": {}, "finish_reason": "tool_calls"}])
    details = {"reasoning_tokens": 2}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": details}
    await exchange.event(choices=[], usage=usage)
    await exchange.part(b"data: [DONE]\n\n")
    await exchange.part(b"")


@behaviour
async def limited(exchange: Exchange, count: int) -> None:
    """A rate limit that asks for so many seconds."""
    await exchange.refuse("429 Too Many Requests", "rate_limit", f"{JSON}\r\nretry-after: {count}")


@behaviour
async def overloaded(exchange: Exchange, count: int) -> None:
    """An outage that asks for so many seconds."""
    await exchange.refuse("503 Unavailable", "stub_error", f"{JSON}\r\nretry-after: {count}")


@behaviour
async def no_credit(exchange: Exchange, count: int) -> None:
    """A refusal that waiting does not help."""
    await exchange.refuse("429 Too Many Requests", "insufficient_quota")


@behaviour
async def endless_error(exchange: Exchange, count: int) -> None:
    """An error whose text has no end."""
    await exchange.begin("500 Broken", "application/json")
    while True:
        await exchange.part(b"x" * 65_536)
