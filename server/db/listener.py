"""Listens to what other processes tell through the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import structlog

from server.settings import Settings

_log = structlog.get_logger("atrium.listener")

_CHECK_SECONDS = 5.0
_RETRY_SECONDS = 0.5

Callback = Callable[[str], None]


@asynccontextmanager
async def listening(
    settings: Settings, channels: Mapping[str, Callback], connected: Callable[[bool], None]
) -> AsyncIterator[None]:
    """Calls back with the payload of each notification, on a connection of its own that is made again when it is lost.

    `connected`: called with True once every channel is listened to, and with False when they no longer are; what was
    told in between is lost.
    """
    task = asyncio.create_task(_listen(settings, channels, connected), name="listener")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(settings: Settings, channels: Mapping[str, Callback], connected: Callable[[bool], None]) -> None:
    dsn = settings.listen_database_url or settings.database_url
    while True:
        try:
            connection: Any = await asyncpg.connect(
                dsn, timeout=10, server_settings={"application_name": "atrium listener"}
            )
            try:
                for channel, callback in channels.items():
                    await connection.add_listener(channel, _adapted(callback))
                connected(True)  # noqa: FBT003
                while True:  # a connection that is dead and does not say so is found by asking
                    await asyncio.sleep(_CHECK_SECONDS)
                    await connection.execute("SELECT 1", timeout=_CHECK_SECONDS)
            finally:
                connected(False)  # noqa: FBT003
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("listening interrupted", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)


def _adapted(callback: Callback) -> Callable[[Any, int, str, Any], None]:
    def call(_connection: Any, _pid: int, _channel: str, payload: Any) -> None:
        callback(payload)

    return call
