"""Nobody is refused for what other processes hold for calls to come, and nothing is overspent."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import pytest

from server.db.database import Database
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.holds import Settlement
from server.model.ledger import Ledger
from server.model.limits import Claim, LimitReached
from server.model.service.books import Books, Entry
from server.model.spares import IDLE_SECONDS
from server.model.store import ledger as store
from tests.databases import Scratch
from tests.factories.records import make_record
from tests.store.spares.holding import (
    AT_ONCE,
    MONTH,
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


async def test_another_process_gets_what_is_held_for_calls_that_have_not_come(
    ledger: Ledger, other: Ledger, admin: Any
) -> None:
    claims = claimed(100)
    await with_a_spare(ledger, claims)
    assert await spares_in(admin) == 1

    hold = await begin(other, claimed(100, 94))

    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (94, 6), "parallel": (1, 0)}
    with pytest.raises(LimitReached):
        await begin(ledger, claims)
    await end(other, hold)


async def test_what_a_call_under_way_has_is_its_own(ledger: Ledger, other: Ledger, admin: Any) -> None:
    claims = claimed(100)
    await with_a_spare(ledger, claims)
    hold = await begin(ledger, claims)

    with pytest.raises(LimitReached) as refusal:
        await begin(other, claimed(100, 90))
    assert (refusal.value.fields["reserved"], refusal.value.fields["used"]) == ("20", "6")
    assert await spares_in(admin) == 0, "and nobody waits for it again"
    await end(ledger, hold, tokens=4)

    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (0, 10), "parallel": (0, 0)}
    assert not (await begin(other, claimed(100, 90))).spare


async def test_what_a_call_has_that_is_over_and_not_entered_yet_is_waited_for(
    ledger: Ledger, other: Ledger, scratch: Scratch, admin: Any
) -> None:
    claims = claimed(100)
    await with_a_spare(ledger, claims)
    hold = await begin(ledger, claims)
    assert ledger.over(PLATFORM_TENANT_ID, hold)

    async with scratch.connect() as listening:
        recalled = asyncio.Event()
        await listening.add_listener(store.RECALLED, lambda *_: recalled.set())
        wanting = asyncio.create_task(begin(other, claimed(100, 90)))
        async with asyncio.timeout(NOT_FOR_EVER):
            await recalled.wait()
    assert not wanting.done()
    await end(ledger, hold, tokens=4)

    assert not (await wanting).spare
    assert await rows_of(admin) == {"requests": (0, 4), "tokens": (90, 10), "parallel": (1, 0)}


async def test_what_is_over_and_noted_is_counted_at_once_for_who_would_be_refused(
    ledger: Ledger, other: Ledger, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.model.service.books.GATHER_SECONDS", 2 * NOT_FOR_EVER)
    claims = claimed(100)
    await with_a_spare(ledger, claims)
    books = Books(ledger._database, ledger, ledger._background)
    await books.enter(PLATFORM_TENANT_ID, Entry([make_record(total_tokens=4)], await begin(ledger, claims)))
    assert await admin.fetchval("SELECT count(*) FROM call_journal")

    hold = await begin(other, claimed(100, 90))

    assert not hold.spare
    assert await rows_of(admin) == {"requests": (0, 4), "tokens": (90, 10), "parallel": (1, 0)}


async def test_who_is_refused_for_a_limit_of_their_own_leaves_others_what_they_hold(
    ledger: Ledger, other: Ledger, admin: Any
) -> None:
    await with_a_spare(ledger)
    theirs = Claim(MONTH._replace(subject=f"user/{uuid4()}"), Decimal(5), Decimal(6))

    with pytest.raises(LimitReached):
        await begin(other, [*claimed(), theirs])

    assert await spares_in(admin) == 1
    assert (await begin(ledger)).spare


async def test_a_call_that_cannot_fit_in_any_case_leaves_others_what_they_hold(
    ledger: Ledger, other: Ledger, admin: Any
) -> None:
    await with_a_spare(ledger, claimed(100))

    for amount in (95, 101):  # six are used
        with pytest.raises(LimitReached):
            await begin(other, claimed(100, amount))

    assert (await begin(ledger, claimed(100))).spare


async def test_who_looks_sees_what_calls_under_way_have_and_leaves_callers_to_call(
    ledger: Ledger, other: Ledger, database: Database
) -> None:
    async def look() -> tuple[int, int]:
        await other.recall(PLATFORM_TENANT_ID, [MONTH], to_look=True)
        async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
            balance = (await store.read(tx, [MONTH]))[MONTH]
        return int(balance.reserved), int(balance.used)

    await with_a_spare(ledger)
    assert await look() == (0, 6)
    await with_a_spare(ledger)
    hold = await begin(ledger)
    assert await look() == (20, 12)
    await end(ledger, hold)

    assert await look() == (0, 15)
    await with_a_spare(ledger)
    assert (await begin(ledger)).spare


async def test_one_tenants_locks_keep_no_other_from_what_is_given_back(
    ledger: Ledger, other: Ledger, scratch: Scratch, admin: Any, tenants: list[UUID], clock: Clock
) -> None:
    locked, tenant = tenants
    claims = claimed(100)
    for _ in range(2):
        for tenant_id in tenants:
            hold = await ledger.reserve(tenant_id, claims)
            await ledger.enter(tenant_id, [Settlement(hold, 3, Decimal(0))])
    assert await spares_in(admin) == 2
    clock.now += IDLE_SECONDS

    async with scratch.connect() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM quota_ledger WHERE tenant_id = $1 FOR UPDATE", locked)
        async with asyncio.timeout(NOT_FOR_EVER):
            while await admin.fetchval("SELECT count(*) FROM quota_holds WHERE tenant_id = $1", tenant):
                pass
            await other.reserve(tenant, claimed(100, 94))

    async with asyncio.timeout(NOT_FOR_EVER):
        while await spares_in(admin):
            pass


async def test_who_is_not_heard_to_have_lent_it_says_so_again(
    ledger: Ledger, other: Ledger, scratch: Scratch, admin: Any
) -> None:
    claims = claimed(100)
    await with_a_spare(ledger, claims)
    hold = await begin(ledger, claims)
    async with scratch.connect() as somebody, somebody.transaction():
        await somebody.execute("SELECT FROM quota_holds FOR UPDATE")  # as it is when it is just being kept
        with pytest.raises(LimitReached):
            await begin(other, claimed(100, 90))
        assert await spares_in(admin) == 1

    with pytest.raises(LimitReached):
        await begin(other, claimed(100, 90))

    async with asyncio.timeout(NOT_FOR_EVER):
        while await spares_in(admin):
            pass
    await end(ledger, hold)


async def test_who_does_not_answer_is_waited_for_a_little_and_then_until_it_is_dead(
    scratch: Scratch, ledger: Ledger, admin: Any, clock: Clock
) -> None:
    async with process(scratch, clock) as dead:
        await with_a_spare(dead, claimed(100))
        dead._spares.recall(PLATFORM_TENANT_ID)  # it knows nothing of it any more, as if it hung
        async with asyncio.timeout(NOT_FOR_EVER):
            for _ in range(2):
                with pytest.raises(LimitReached):
                    await begin(ledger, claimed(100, 90))
        await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")

        assert not (await begin(ledger, claimed(100, 90))).spare


async def test_of_many_calls_in_two_processes_none_is_one_too_many_and_none_too_few(
    admin: Any, scratch: Scratch
) -> None:
    claims = [Claim(MONTH, Decimal(600), Decimal(4)), Claim(AT_ONCE, Decimal(30), Decimal(1))]
    chance = Random(11)
    admitted, unasked, seen = 0, 0, []

    async def call(who: Ledger) -> bool:
        nonlocal admitted, unasked
        try:
            hold = await begin(who, claims)
        except LimitReached:
            return False
        unasked += hold.spare
        await asyncio.sleep(chance.random() / 50)
        await end(who, hold, tokens=3)
        admitted += 1
        return True

    async def watch() -> None:
        async with scratch.connect() as looking:
            while True:
                rows = await rows_of(looking)
                seen.append((sum(rows.get("tokens", (0, 0))), sum(rows.get("parallel", (0, 0)))))
                await asyncio.sleep(0.001)

    async with process(scratch, monotonic) as ledger, process(scratch, monotonic) as other:
        watching = asyncio.create_task(watch())
        for most in (6,) * 20 + (60,) * 3:
            await asyncio.gather(*(call(chance.choice((ledger, other))) for _ in range(chance.randint(1, most))))
        async with asyncio.timeout(NOT_FOR_EVER):
            while await call(chance.choice((ledger, other))):
                pass
        watching.cancel()
        await asyncio.wait([watching])

    assert max(tokens for tokens, _ in seen) <= 600
    assert max(calls for _, calls in seen) <= 30
    assert admitted == 199, "as long as four tokens are left"
    assert unasked
    await until_nothing_is_held(admin)
    assert await rows_of(admin) == {"tokens": (0, 597), "parallel": (0, 0)}
