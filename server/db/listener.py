"""Listens to what other processes tell through the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import asyncpg

from server.db.errors import LOST
from server.db.pool import CONNECT_SECONDS
from server.kernel.tasks import going_on
from server.settings import Settings

# Together shorter than what is remembered lives past the last answer: one that comes late costs nothing.
_ASK_SECONDS = 0.2
_ANSWER_SECONDS = 0.4

Callback = Callable[[str], None]


@asynccontextmanager
async def listening(
    settings: Settings,
    channels: Mapping[str, Callback],
    connected: Callable[[bool], None],
    heard: Callable[[float], None],
) -> AsyncIterator[None]:
    """Calls back with the payload of each notification, on a connection of its own that is made again when it is lost.

    `connected`: called with True once every channel is listened to, and with False when they no longer are; what is
    told in between is lost. `heard`: called, some times a second, with a moment on the clock `monotonic()` before which
    nothing was told that has not been heard. The address is ATRIUM_LISTEN_DATABASE_URL where it is set: LISTEN does
    not work through a pooler of transactions.
    """
    listen = partial(_listen, settings, channels, connected, heard)
    async with going_on(listen, "listening", every=0, outages=LOST):
        yield


async def _listen(
    settings: Settings,
    channels: Mapping[str, Callback],
    connected: Callable[[bool], None],
    heard: Callable[[float], None],
) -> None:
    """Until its connection is lost, which it raises."""
    connection: Any = await asyncpg.connect(
        settings.listen_database_url or settings.database_url,
        timeout=CONNECT_SECONDS,
        command_timeout=CONNECT_SECONDS,
        server_settings={"application_name": "atrium listener"},
    )
    try:
        await _until_lost(connection, channels, connected, heard)
    finally:
        connection.terminate()
    raise ConnectionResetError


async def _until_lost(
    connection: Any,
    channels: Mapping[str, Callback],
    connected: Callable[[bool], None],
    heard: Callable[[float], None],
) -> None:
    """Returns when the connection is closed. One that is dead and does not say so is found by asking, and raises."""
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    for channel, callback in channels.items():
        await connection.add_listener(channel, _adapted(callback))
    connected(True)  # noqa: FBT003
    try:
        while not lost.is_set():
            try:
                async with asyncio.timeout(_ASK_SECONDS):
                    await lost.wait()
            except TimeoutError:
                asked_at = monotonic()
                # Notifications go out before the answer to what is asked after them.
                await connection.execute("SELECT 1", timeout=_ANSWER_SECONDS)
                heard(asked_at)
    finally:
        connected(False)  # noqa: FBT003


def _adapted(callback: Callback) -> Callable[[Any, int, str, Any], None]:
    def call(_connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        callback(payload)

    return call
