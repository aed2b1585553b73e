"""Listening goes on after whatever went wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from server.db.listener import listening
from server.settings import Settings
from tests.pauses import noted_pauses

BOUND = 10.0


class Line:
    """A connection that listens, or that lets in and then refuses to."""

    def __init__(self, refusal: Exception | None) -> None:
        self._refusal = refusal
        self.terminated = False

    def add_termination_listener(self, _: object) -> None:
        pass

    async def add_listener(self, _channel: str, _callback: object) -> None:
        if self._refusal is not None:
            raise self._refusal

    async def execute(self, query: str, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own
        pass

    def terminate(self) -> None:
        self.terminated = True


class Server:
    """Refuses as often as it is told, with what it is told."""

    def __init__(self, *refusals: Exception) -> None:
        self._refusals = list(refusals)
        self.lines: list[Line] = []

    async def connect(self, _address: str, **_: object) -> Line:
        self.lines.append(Line(self._refusals.pop(0) if self._refusals else None))
        return self.lines[-1]


@pytest.mark.parametrize("error", [KeyError(), ZeroDivisionError()], ids=repr)
async def test_an_error_that_nobody_expects_is_told_and_ends_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, told = Server(error), []
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    monkeypatch.setattr(asyncpg, "connect", server.connect)
    noted_pauses(monkeypatch)
    connected = asyncio.Event()

    def note(is_so: bool) -> None:
        told.append(is_so)
        connected.set()

    async with asyncio.timeout(BOUND), listening(Settings(), {"channel": print}, note, lambda _: None):
        await connected.wait()

    assert told == [True, False]
    assert [context["exception"] for context in complaints] == [error]
    assert [line.terminated for line in server.lines] == [True, True]


async def test_a_server_that_lets_it_in_and_no_further_is_tried_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusals = [asyncpg.InsufficientPrivilegeError() for _ in range(8)]
    monkeypatch.setattr(asyncpg, "connect", Server(*refusals).connect)
    pauses, connected = noted_pauses(monkeypatch), asyncio.Event()

    with capture_logs() as logs:
        async with (
            asyncio.timeout(BOUND),
            listening(Settings(), {"channel": print}, lambda _: connected.set(), lambda _: None),
        ):
            await connected.wait()

    warning = {"event": "listening interrupted", "error": "InsufficientPrivilegeError", "log_level": "warning"}
    assert logs == [warning] * 8
    assert pauses[0] <= 0.1
    assert pauses[-1] >= 2.5
