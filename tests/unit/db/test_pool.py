"""Who gets which connection, and in what state."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.db import pool as module
from server.db.pool import Pool

BOUND = 5.0


class Line:
    """A connection as far as the pool looks at one. It is cleaned when `clean` is set."""

    def __init__(self) -> None:
        self.closed = False
        self.terminated = False
        self.busy = False
        self.ran: list[str] = []
        self.fails = False
        self.clean = asyncio.Event()
        self.clean.set()

    def is_closed(self) -> bool:
        return self.closed

    def is_in_transaction(self) -> bool:
        return self.busy

    async def execute(self, query: str) -> None:
        self.ran.append(query)
        await self.clean.wait()
        if self.fails:
            raise OSError("gone")
        self.busy = False

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - asyncpg's own
        self.closed = True

    def terminate(self) -> None:
        self.closed = self.terminated = True


class Server:
    """Where connections come from."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.down = False

    async def connect(self) -> Any:
        if self.down:
            raise ConnectionRefusedError
        self.lines.append(Line())
        return self.lines[-1]


@pytest.fixture
def backend() -> Server:
    return Server()


async def _waiting(pool: Pool) -> asyncio.Task[Any]:
    """A use that waits for a connection."""
    task = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_connection_is_opened_when_it_is_needed_and_lent_again(backend: Server) -> None:
    pool = Pool(backend.connect, 2)
    assert backend.lines == []

    first = await pool.acquire()
    pool.release(first)

    assert await pool.acquire() is first
    assert len(backend.lines) == 1


async def test_no_more_than_its_size_are_open_and_whoever_waited_longest_is_first(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held = await pool.acquire()
    first, second = await _waiting(pool), await _waiting(pool)

    pool.release(held)
    assert await first is held
    assert not second.done()
    pool.release(held)

    assert await second is held
    assert len(backend.lines) == 1


@pytest.mark.parametrize(("busy", "query"), [(True, "ROLLBACK"), (False, "SELECT")])
async def test_a_failed_use_is_cleaned_up_after_before_the_next(busy: bool, query: str, backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    held.busy = busy
    held.clean.clear()

    pool.release(held, failed=True)
    task = await _waiting(pool)
    held.clean.set()

    async with asyncio.timeout(BOUND):
        assert await task is held
    assert held.ran == [query]


async def test_a_connection_given_back_in_a_transaction_is_rolled_back(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    held.busy = True

    pool.release(held)

    async with asyncio.timeout(BOUND):
        assert await pool.acquire() is held
    assert (held.ran, held.busy) == (["ROLLBACK"], False)


@pytest.mark.parametrize("busy", [True, False])
async def test_one_that_cannot_be_cleaned_is_thrown_away(busy: bool, backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    held.busy, held.fails = busy, True

    pool.release(held, failed=True)

    async with asyncio.timeout(BOUND):
        assert await pool.acquire() is not held
    assert held.terminated


@pytest.mark.parametrize("busy", [True, False])
async def test_one_that_does_not_answer_is_thrown_away(
    busy: bool, backend: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CLEAN_SECONDS", 0)
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    held.busy = busy
    held.clean.clear()

    pool.release(held, failed=True)

    async with asyncio.timeout(BOUND):
        assert await pool.acquire() is not held
    assert held.terminated


async def test_closing_ends_what_is_being_cleaned(backend: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0)
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    held.clean.clear()
    pool.release(held, failed=True)
    await asyncio.sleep(0)  # it has begun: what never did would be ended as what is lent is

    await pool.close()

    assert held.terminated


async def test_a_lost_connection_makes_place_for_whoever_waits(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    task = await _waiting(pool)

    held.closed = True
    pool.release(held)

    async with asyncio.timeout(BOUND):
        assert await task is backend.lines[1]


async def test_one_that_was_lost_while_idle_is_not_lent(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    pool.release(held)
    held.closed = True

    assert await pool.acquire() is backend.lines[1]


async def test_a_server_that_is_away_costs_no_place(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    backend.down = True
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await pool.acquire()

    backend.down = False

    assert await pool.acquire() is backend.lines[0]


async def test_whoever_stops_waiting_is_passed_over(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held = await pool.acquire()
    first, second = await _waiting(pool), await _waiting(pool)

    first.cancel()
    await asyncio.wait([first])
    pool.release(held)

    assert await second is held


async def test_a_connection_given_in_the_moment_of_a_cancellation_is_not_lost(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held = await pool.acquire()
    first = await _waiting(pool)

    pool.release(held)
    first.cancel()
    await asyncio.wait([first])

    async with asyncio.timeout(BOUND):
        assert await pool.acquire() is held


async def test_a_connection_that_is_lost_in_the_moment_it_is_given_is_not_lent(backend: Server) -> None:
    pool = Pool(backend.connect, 1)
    held: Any = await pool.acquire()
    task = await _waiting(pool)

    pool.release(held)
    held.closed = True

    async with asyncio.timeout(BOUND):
        assert await task is backend.lines[1]


async def test_nobody_waits_for_ever(backend: Server) -> None:
    pool = Pool(backend.connect, 1, wait_seconds=0.01)
    held = await pool.acquire()

    with pytest.raises(TimeoutError):
        await pool.acquire()

    pool.release(held)
    assert await pool.acquire() is held


async def test_closing_closes_what_is_idle_and_ends_what_is_lent(backend: Server) -> None:
    pool = Pool(backend.connect, 2)
    idle = await pool.acquire()
    await pool.acquire()
    pool.release(idle)

    await pool.close()

    assert [line.closed for line in backend.lines] == [True, True]
