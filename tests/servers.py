"""Running servers for tests: the whole application on a database of the test's own, behind a real channel.

A pytest plugin: the top conftest names it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog
from argon2 import PasswordHasher

from server.app import App, open_app
from server.db import listener
from server.identity import passwords
from server.settings import Settings
from server.telemetry import configure_logging
from tests.databases import Scratch
from tests.factories.world import World

_LIGHT = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "heavy_hashes: passwords are hashed as they are when it is not for a test.")


@pytest.fixture(autouse=True)
def _light_hashes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords of tests are thrown away, and each test of a server hashes several: half of its time was theirs."""
    if request.node.get_closest_marker("heavy_hashes") is None:
        monkeypatch.setattr(passwords, "HASHER", _LIGHT)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[tuple[App, int]]:
    """The application on a free port of this machine, until the context ends."""
    own = settings.model_copy(update={"address": "127.0.0.1:0", "log_level": "error", "grace_seconds": 1.0})
    configure_logging(own)
    # Loggers of modules outlive a test: one that remembered this configuration would keep it in the tests after it.
    structlog.configure(cache_logger_on_first_use=False)
    async with open_app(own) as app:
        port = await app.start()
        try:
            yield app, port
        finally:
            await app.stop()


@pytest.fixture
async def world(scratch: Scratch) -> AsyncIterator[World]:
    """A server of the test's own, and those who call it."""
    async with serving(scratch.settings()) as (app, port):
        administrator = await app.founding.first_platform_administrator()
        assert administrator is not None
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(channel, administrator)


@pytest.fixture
def patient_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener waits for an answer that a busy machine keeps from it, and does not give its connection up: what is
    told while it has none is lost.
    """
    monkeypatch.setattr(listener, "_ANSWER_SECONDS", 60.0)
