"""What the stubbed provider does when it is asked for vectors."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import struct
from typing import Any

from tests.fakes.openai_behaviours import behaviour
from tests.fakes.openai_exchange import JSON, Exchange


def vector(text: str, dimensions: int) -> list[float]:
    """The vector that the stub gives for a text; its values are exact in 32 bits."""
    seed = hashlib.sha256(text.encode()).digest()
    return [(seed[index % 32] - 128) / 128 for index in range(dimensions)]


async def _embeddings(
    exchange: Exchange, values: list[Any], *, order: int = 1, first: int = 0, step: int = 1, tokens: int | None = None
) -> None:
    rows = [
        {"object": "embedding", "index": first + step * place, "embedding": value} for place, value in enumerate(values)
    ]
    tokens = sum(len(text.split()) for text in exchange.body["input"]) if tokens is None else tokens
    answer = {"object": "list", "data": rows[::order], "model": "stub", "usage": {"prompt_tokens": tokens}}
    await exchange.respond("200 OK", json.dumps(answer).encode())


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


@behaviour
async def embed(exchange: Exchange, count: int) -> None:
    """A vector of so many dimensions for each input, in base64 where that was asked for."""
    vectors: list[Any] = [vector(text, count) for text in exchange.body["input"]]
    if exchange.body.get("encoding_format") == "base64":
        vectors = [_packed(values) for values in vectors]
    await _embeddings(exchange, vectors)


@behaviour
async def embed_floats(exchange: Exchange, count: int) -> None:
    """Vectors in plain JSON, whatever was asked for."""
    await _embeddings(exchange, [vector(text, count) for text in exchange.body["input"]])


@behaviour
async def embed_reversed(exchange: Exchange, count: int) -> None:
    """Vectors in the wrong order, each with its right index."""
    await _embeddings(exchange, [vector(text, count) for text in exchange.body["input"]], order=-1)


@behaviour
async def embed_short(exchange: Exchange, count: int) -> None:
    """One vector too few."""
    await _embeddings(exchange, [vector(text, count) for text in exchange.body["input"][1:]])


@behaviour
async def embed_twice(exchange: Exchange, count: int) -> None:
    """Vectors that are all said to be the first text's."""
    await _embeddings(exchange, [vector(text, count) for text in exchange.body["input"]], step=0)


@behaviour
async def embed_beyond(exchange: Exchange, count: int) -> None:
    """Vectors of which the last is said to be of a text that there is not."""
    await _embeddings(exchange, [vector(text, count) for text in exchange.body["input"]], first=1)


@behaviour
async def embed_ragged(exchange: Exchange, count: int) -> None:
    """Vectors of different lengths."""
    await _embeddings(exchange, [vector(text, count + index) for index, text in enumerate(exchange.body["input"])])


@behaviour
async def embed_nan(exchange: Exchange, count: int) -> None:
    """Vectors of what is no number."""
    await _embeddings(exchange, [_packed([float("nan")] * count) for _ in exchange.body["input"]])


@behaviour
async def embed_cut(exchange: Exchange, count: int) -> None:
    """A vector and a closed connection, in the midst of an answer that had said how long it is."""
    row = {"object": "embedding", "index": 0, "embedding": vector("", count)}
    begun = f'{{"object": "list", "data": [{json.dumps(row)}, '.ljust(70_000)
    await exchange.send_raw(f"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{begun}".encode())
    exchange.connection.hang_up()


@behaviour
async def embed_endless(exchange: Exchange, count: int) -> None:
    """An answer without end."""
    await exchange.begin(kind="application/json")
    while True:
        await exchange.part(b" " * 65_536)


@behaviour
async def embed_most(exchange: Exchange, count: int) -> None:
    """Vectors, for no more than so many texts at once, and for none that says it is bad."""
    if len(exchange.body["input"]) > count or "bad" in exchange.body["input"]:
        await exchange.refuse("400 Bad Request", "invalid_request")
    else:
        await embed(exchange, 8)


@behaviour
async def embed_down(exchange: Exchange, count: int) -> None:
    """Vectors, and for texts that say they are down an outage, while no more than so many have asked for anything."""
    if "down" in exchange.body["input"] and exchange.number <= count:
        await exchange.refuse("503 Unavailable", "stub_error", f"{JSON}\r\nretry-after: 0")
    else:
        await embed(exchange, 8)


@behaviour
async def embed_stall(exchange: Exchange, count: int) -> None:
    """Vectors, and nothing, ever, for texts that say they are down."""
    if "down" in exchange.body["input"]:
        await asyncio.Event().wait()
    await embed(exchange, 8)


@behaviour
async def embed_hang(exchange: Exchange, count: int) -> None:
    """Vectors, and for whoever asks for the so-manieth time nothing, ever."""
    if exchange.number == count:
        await asyncio.Event().wait()
    await embed(exchange, 8)


@behaviour
async def embed_until(exchange: Exchange, count: int) -> None:
    """Vectors, and nothing, ever, for texts one of which ends with the word."""
    if any(text.endswith("down") for text in exchange.body["input"]):
        await asyncio.Event().wait()
    await embed(exchange, 8)


@behaviour
async def embed_away(exchange: Exchange, count: int) -> None:
    """An outage for so many requests, and vectors after it."""
    if exchange.number <= count:
        await exchange.refuse("503 Unavailable", "stub_error", f"{JSON}\r\nretry-after: 0")
    else:
        await embed(exchange, 8)


@behaviour
async def embed_costly(exchange: Exchange, count: int) -> None:
    """Vectors, for so many millions of tokens, whatever the texts."""
    await _embeddings(exchange, [vector(text, 8) for text in exchange.body["input"]], tokens=count * 1_000_000)
