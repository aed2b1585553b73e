"""A streamed answer, read as far as it was asked for, and so that the calls beside it go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from time import monotonic

from server.llm.http import END_SECONDS
from server.llm.metering import AnswerMeter
from server.llm.port import ChatChunk, ModelAnswerBroken, ModelResponseInvalid, ModelUnavailable, Outage
from server.llm.sse import EventReader

_AT_ONCE = 16_384
"""Bytes that are looked through in one turn of the event loop: a provider can send as fast as they are."""


async def read_events(
    reader: EventReader,
    meter: AnswerMeter,
    more: Callable[[], Awaitable[bytes]],
    drain: Callable[[], Awaitable[None]],
    wordless: float,
) -> AsyncGenerator[list[ChatChunk], None]:
    """The chunks, in batches of what came together. `more`: what comes next; nothing at the end. `drain`: reads what is
    behind the last event. `wordless`: seconds for which nothing may be written, whatever comes.

    Raises what is wrong with the answer, and what `more` raises.
    """
    ends_at: float | None = None
    wrote_at = monotonic()
    while data := await _until(ends_at, more):
        for begin in range(0, len(data), _AT_ONCE):
            if begin:
                await asyncio.sleep(0)
            if chunks := reader.feed(data[begin : begin + _AT_ONCE]):
                given_at = monotonic()
                yield meter.counted(chunks)
                wrote_at += monotonic() - given_at  # for as long as nobody took it, nobody listened
            if (failure := meter.failure or reader.failure) is not None:
                raise failure
            meter.check_hollow(reader.hollow)
            if chunks and any(chunk.says_something for chunk in chunks):
                wrote_at = monotonic()
            elif monotonic() - wrote_at > wordless and not meter.finished:
                raise ModelUnavailable(outage=Outage.SILENT)
            if reader.done:
                break
        if reader.done:
            await drain()
            break
        if meter.finished and ends_at is None:
            ends_at = asyncio.get_running_loop().time() + END_SECONDS
    if not meter.finished:
        raise ModelAnswerBroken if meter.begun else ModelResponseInvalid


async def _until(moment: float | None, more: Callable[[], Awaitable[bytes]]) -> bytes:
    """What comes next, before that moment on the loop's clock; nothing where it does not. None: whenever it comes."""
    if moment is None:
        return await more()
    try:
        async with asyncio.timeout_at(moment):
            return await more()
    except TimeoutError:
        return b""
