"""What a process holds of limits for calls to come: who need not ask then, and what becomes of it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from server.db.statements import Statement
from server.kernel.errors import DatabaseUnavailable
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.holds import Settlement
from server.model.ledger import Ledger
from server.model.limits import Claim
from server.model.spares import IDLE_SECONDS
from tests.databases import Scratch
from tests.factories.records import make_record
from tests.store.spares.holding import (
    MINUTE,
    MONTH,
    MUCH,
    NOT_FOR_EVER,
    Clock,
    begin,
    claimed,
    end,
    process,
    rows_of,
    spares_in,
    until_nothing_is_held,
    with_a_spare,
)


async def test_who_calls_again_soon_asks_nobody(ledger: Ledger, scratch: Scratch, admin: Any) -> None:
    await with_a_spare(ledger)
    assert await rows_of(admin) == {"requests": (1, 2), "tokens": (20, 6), "parallel": (1, 0)}

    async with scratch.connect() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM quota_ledger FOR UPDATE")  # nobody reserves anything meanwhile
        async with asyncio.timeout(NOT_FOR_EVER):
            hold = await begin(ledger)
    assert hold.spare
    await end(ledger, hold, tokens=5)

    assert await rows_of(admin) == {"requests": (1, 3), "tokens": (20, 11), "parallel": (1, 0)}
    assert await spares_in(admin) == 1


async def test_what_nobody_comes_for_is_given_back_and_counts_as_no_request(
    ledger: Ledger, admin: Any, clock: Clock
) -> None:
    await with_a_spare(ledger)
    assert await spares_in(admin) == 1

    clock.now += IDLE_SECONDS

    await until_nothing_is_held(admin)

    assert await rows_of(admin) == {"requests": (0, 2), "tokens": (0, 6), "parallel": (0, 0)}


async def test_who_calls_once_leaves_nothing(ledger: Ledger, admin: Any) -> None:
    await end(ledger, await begin(ledger))

    assert await admin.fetchval("SELECT count(*) FROM quota_holds") == 0


@pytest.mark.parametrize(("limit", "spares"), [(45, 0), (60, 1)])
async def test_nothing_is_held_beyond_the_half_of_a_limit(ledger: Ledger, admin: Any, limit: int, spares: int) -> None:
    await with_a_spare(ledger, claimed(limit))  # 6 are used by then, and 20 would be held

    assert await spares_in(admin) == spares
    assert await rows_of(admin) == {"requests": (spares, 2), "tokens": (20 * spares, 6), "parallel": (spares, 0)}


async def test_a_larger_call_has_room_and_a_much_larger_one_asks(ledger: Ledger) -> None:
    await with_a_spare(ledger)
    larger = await begin(ledger, claimed(amount=20))
    await end(ledger, larger)

    much_larger = await begin(ledger, claimed(amount=21))

    assert (larger.spare, much_larger.spare) == (True, False)
    assert [claim.amount for claim in larger.claims] == [1, 20, 1]


async def test_what_was_held_under_another_limit_is_for_nobody(ledger: Ledger) -> None:
    await with_a_spare(ledger)

    assert not (await begin(ledger, claimed(MUCH - 1))).spare
    assert (await begin(ledger)).spare


async def test_a_request_counts_once_where_what_is_held_beside_it_was_held_for_others(
    ledger: Ledger, admin: Any
) -> None:
    month = Claim(MONTH, Decimal(MUCH), Decimal(10))
    await with_a_spare(ledger, [month])
    own = Claim(MINUTE._replace(subject=f"user/{uuid4()}"), Decimal(10), Decimal(1))
    hold = await begin(ledger, [own, month._replace(amount=Decimal(11))])

    more = await begin(ledger, [month])
    await end(ledger, hold.with_more(more))

    assert (more.spare, hold.with_more(more).spare) == (True, False)
    assert (await rows_of(admin))["requests"] == (0, 1)


async def test_a_process_that_stops_gives_back_what_it_held(scratch: Scratch, admin: Any, clock: Clock) -> None:
    async with process(scratch, clock) as stopped:
        await with_a_spare(stopped)
        assert await spares_in(admin) == 1

    assert await admin.fetchval("SELECT count(*) FROM quota_holds") == 0
    assert await rows_of(admin) == {"requests": (0, 2), "tokens": (0, 6), "parallel": (0, 0)}


async def test_a_process_that_does_not_hear_holds_nothing(ledger: Ledger, admin: Any) -> None:
    await with_a_spare(ledger)

    ledger.listening(connected=False)

    assert not (await begin(ledger)).spare
    async with asyncio.timeout(NOT_FOR_EVER):
        while await spares_in(admin):
            pass
    await with_a_spare(ledger)
    assert await spares_in(admin) == 0
    ledger.listening(connected=True)


async def test_a_month_is_warned_of_by_a_call_that_asked_nobody(ledger: Ledger, admin: Any) -> None:
    await with_a_spare(ledger)
    hold = await begin(ledger)
    assert hold.spare

    await end(ledger, hold, tokens=900_000)

    assert await admin.fetchval("SELECT details ->> 'percent' FROM audit_logs WHERE action = 'limits.warning'") == "80"
    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (0, 900_006), "parallel": (0, 0)}


async def test_a_call_whose_commit_was_not_heard_of_counts_once_and_leaves_nothing_to_others(
    ledger: Ledger, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_a_spare(ledger)
    settlement = Settlement(await begin(ledger), 3, Decimal(0), [make_record(total_cost=None)])
    really = ledger._database.at_once

    async def at_once(statement: Statement, **values: Any) -> Any:
        await really(statement, **values)
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(ledger._database, "at_once", at_once)
        with pytest.raises(DatabaseUnavailable):
            await ledger.enter(PLATFORM_TENANT_ID, [settlement])

    await ledger.enter(PLATFORM_TENANT_ID, [settlement])

    assert await rows_of(admin) == {"requests": (1, 3), "tokens": (20, 9), "parallel": (1, 0)}
    assert not (await begin(ledger)).spare, "nobody knows whether it is still held"
