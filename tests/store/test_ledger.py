"""The ledger of limits: what it admits, what it gives back, and what it writes down."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from server.audit.service.log import AuditLog
from server.db.database import Database, Tx
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.tasks import Background
from server.model.holds import Hold, Settlement, Wanted, held_by
from server.model.ledger import Ledger
from server.model.limits import Claim, LimitReached, Limits, Window, claims, due
from server.model.store import ledger as store
from tests.databases import Cluster, Scratch, somebody_waits

MONTH = Window("month", datetime(2030, 1, 1, tzinfo=UTC), "tenant", "tokens")
MOMENT = datetime(2030, 1, 31, 23, 59, 30, tzinfo=UTC)
NOT_FOR_EVER = 20.0


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.fixture
def ledger(database: Database, background: Background) -> Ledger:
    return Ledger(database, AuditLog(database), background)


def _claim(limit: int, amount: int, window: Window = MONTH) -> Claim:
    return Claim(window, Decimal(limit), Decimal(amount))


async def _settle(ledger: Ledger, hold: Hold, tokens: int) -> None:
    await ledger.enter(PLATFORM_TENANT_ID, [Settlement(hold, tokens, Decimal(0))])


async def _row(admin: Any) -> tuple[int, int]:
    row = await admin.fetchrow("SELECT reserved, used FROM quota_ledger WHERE kind = 'tokens'")
    return int(row["reserved"]), int(row["used"])


async def test_what_is_reserved_is_given_back_and_what_is_used_counts(
    database: Database, ledger: Ledger, admin: Any
) -> None:
    first = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60)])
    assert await _row(admin) == (60, 0)
    with pytest.raises(LimitReached) as refusal:
        await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 50)])

    await _settle(ledger, first, 20)

    assert await _row(admin) == (0, 20)
    assert (refusal.value.fields["reserved"], refusal.value.fields["needed"]) == ("60", "50")
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 80)])


async def test_a_call_gets_all_that_it_needs_or_nothing(ledger: Ledger, admin: Any) -> None:
    other = Window("none", datetime(1970, 1, 1, tzinfo=UTC), "tenant", "parallel")

    with pytest.raises(LimitReached):
        await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60), _claim(0, 1, other)])

    assert await _row(admin) == (0, 0)
    assert not await admin.fetchval("SELECT count(*) FROM quota_holds")


async def test_those_who_ask_together_are_let_in_as_far_as_they_fit(ledger: Ledger, admin: Any) -> None:
    asked = [ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 30)]) for _ in range(10)]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(outcome, Hold) for outcome in outcomes].count(True) == 3
    assert await _row(admin) == (90, 0)


async def test_each_is_held_to_the_limit_that_it_knows_while_a_limit_is_changed(ledger: Ledger, admin: Any) -> None:
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 1)])
    asked = [ledger.reserve(PLATFORM_TENANT_ID, [_claim(limit, 60)]) for limit in (100, 200, 150)]

    outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert [isinstance(outcome, Hold) for outcome in outcomes] == [True, True, False]
    assert await _row(admin) == (121, 0)


async def test_many_limits_in_every_order_lead_to_no_deadlock(scratch: Scratch, background: Background) -> None:
    windows = [Window("minute", MOMENT + timedelta(minutes=n), f"user/{n % 3}", "tokens") for n in range(6)]

    async def hammer(shift: int) -> None:
        async with Database.open(scratch.settings(pool_size=2)) as database:
            ledger = Ledger(database, AuditLog(database), background)
            for turn in range(10):
                mine = (windows[(turn + shift) % 6 :] + windows[: (turn + shift) % 6])[: 1 + turn % 4]
                hold = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(10**9, 5, window) for window in mine])
                await _settle(ledger, hold, 3)

    async with asyncio.timeout(NOT_FOR_EVER):
        await asyncio.gather(*(hammer(shift) for shift in range(4)))

    async with scratch.connect() as connection:
        assert await connection.fetchval("SELECT sum(reserved) FROM quota_ledger") == 0
        assert await connection.fetchval("SELECT sum(used) FROM quota_ledger") == 4 * 3 * sum(
            1 + n % 4 for n in range(10)
        )


async def test_what_was_given_up_is_counted_and_not_given_back_twice(
    database: Database, ledger: Ledger, admin: Any
) -> None:
    late = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60)])
    await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")

    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 90)])
    assert await _row(admin) == (90, 0)
    await _settle(ledger, late, 40)

    assert await _row(admin) == (90, 40)


async def test_what_the_dead_held_of_other_limits_is_given_up_with_it(ledger: Ledger, admin: Any) -> None:
    ann, bob = (Window("minute", MOMENT, f"user/{name}", "tokens") for name in ("ann", "bob"))
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60), _claim(100, 60, ann)])
    await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")

    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 90), _claim(100, 90, bob)])

    rows = await admin.fetch("SELECT subject, reserved FROM quota_ledger ORDER BY subject")
    assert {row["subject"]: row["reserved"] for row in rows} == {"tenant": 90, ann.subject: 0, bob.subject: 90}


async def test_what_expired_and_is_just_being_settled_is_waited_for_by_nobody(ledger: Ledger, scratch: Scratch) -> None:
    late = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60)])
    async with scratch.connect() as settling:
        await settling.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")
        transaction = settling.transaction()
        await transaction.start()
        await settling.execute("DELETE FROM quota_holds")
        async with asyncio.timeout(NOT_FOR_EVER):
            with pytest.raises(LimitReached):
                await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 90)])
            await ledger.sweep(PLATFORM_TENANT_ID)
        await transaction.rollback()

    await _settle(ledger, late, 10)
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 90)])


async def test_to_give_back_reads_no_reservation_of_others(ledger: Ledger, database: Database, admin: Any) -> None:
    await admin.execute("ANALYZE quota_holds")  # it is known to be small
    holds = [await ledger.reserve(PLATFORM_TENANT_ID, [_claim(10_000, 1)]) for _ in range(200)]
    read: list[int] = []
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        for hold in holds[:8]:  # the first five of them are planned each by itself
            use = {MONTH: Wanted(None, Decimal(0), Decimal(0))}
            await store.enter(tx.fetchval, PLATFORM_TENANT_ID, use, held_by(hold.parts))
            rows = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1"
            read.append((await tx.run(rows, "quota_holds"))[0][0])

    assert [after - before for before, after in pairwise([0, *read])] == [1] * 8
    assert await _row(admin) == (192, 0)


async def test_a_limit_is_found_by_its_key_however_few_a_tenant_has_on_average(
    ledger: Ledger, database: Database, admin: Any
) -> None:
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(10_000, 1)])
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")  # rows of tenants that there are not
        await admin.execute(
            """
            INSERT INTO quota_ledger (tenant_id, window_kind, window_start, subject, kind)
            SELECT tenant_id, 'minute', now() + n * interval '1 minute', 'tenant', 'tokens'
            FROM (SELECT gen_random_uuid() AS tenant_id FROM generate_series(1, 1000)) others, generate_series(1, 3) n
            UNION ALL
            SELECT $1, 'minute', now() + n * interval '1 minute', 'tenant', 'tokens' FROM generate_series(1, 500) n
            """,
            PLATFORM_TENANT_ID,
        )
    await admin.execute("VACUUM ANALYZE quota_ledger")
    wanted = {MONTH: Wanted(Decimal(10_000), Decimal(0), Decimal(0))}
    read: list[int] = []
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        for _ in range(3):
            await store.reserve(tx.fetchval, PLATFORM_TENANT_ID, wanted, {}, store.LEASE_SECONDS)
            await store.enter(tx.fetchval, PLATFORM_TENANT_ID, wanted, {})
            rows = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1"
            read.append((await tx.run(rows, "quota_ledger"))[0][0])

    assert [after - before for before, after in pairwise(read)] == [2] * 2


async def test_a_refusal_does_not_wait_for_the_disk(ledger: Ledger, database: Database) -> None:
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60)])
    wanted = {MONTH: Wanted(Decimal(100), Decimal(50), Decimal(0))}

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.run("SET LOCAL synchronous_commit = on")
        reserved = await store.reserve(tx.fetchval, PLATFORM_TENANT_ID, wanted, {}, store.LEASE_SECONDS)
        waits = await tx.run("SHOW synchronous_commit")

    assert not reserved
    assert waits[0][0] == "off"


async def test_both_ways_of_entering_a_call_wait_for_the_same_first(
    scratch: Scratch, database: Database, ledger: Ledger, admin: Any
) -> None:
    hold = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60)])

    async def beside(tx: Tx) -> None:
        pass

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        await tx.execute(store._QUERIES["hold_months"], tenant_id=PLATFORM_TENANT_ID)  # as whoever makes rows of months
        settlements = [Settlement(hold, 20, Decimal(0))]
        entering = asyncio.create_task(ledger.enter(PLATFORM_TENANT_ID, settlements, beside))
        await somebody_waits(admin)
        await admin.fetch("SELECT * FROM quota_ledger FOR UPDATE NOWAIT")  # it holds none of the rows meanwhile
    await entering

    assert await _row(admin) == (0, 20)


async def test_the_sweep_gives_up_what_the_dead_held_and_forgets_old_minutes(
    ledger: Ledger, admin: Any, database: Database
) -> None:
    minute = Window("minute", datetime(2020, 1, 1, tzinfo=UTC), "tenant", "tokens")
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60), _claim(100, 60, minute)])
    await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")

    await ledger.sweep(PLATFORM_TENANT_ID)

    rows = await admin.fetch("SELECT window_kind, reserved FROM quota_ledger")
    assert [(row["window_kind"], row["reserved"]) for row in rows] == [("month", 0)]
    assert not await admin.fetchval("SELECT count(*) FROM quota_holds")


async def test_what_the_dead_held_is_not_shown_as_reserved(ledger: Ledger, database: Database, admin: Any) -> None:
    at_once = Window("none", datetime(1970, 1, 1, tzinfo=UTC), "tenant", "parallel")
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 60), _claim(5, 1, at_once)])
    await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")
    living = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 7)])

    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        shown = await store.read(tx, [MONTH, at_once])
    await _settle(ledger, living, 3)
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        later = await store.read(tx, [MONTH])

    assert await _row(admin) == (60, 3)
    assert {window: balance.reserved for window, balance in shown.items()} == {MONTH: 7, at_once: 0}
    assert (later[MONTH].reserved, later[MONTH].used) == (0, 3)


@pytest.mark.parametrize(
    ("steps", "warned"), [((50, 29), []), ((50, 30), [80]), ((50, 50), [80, 100]), ((80, 20), [80, 100]), ((79, 0), [])]
)
async def test_a_month_is_warned_of_at_eighty_and_at_a_hundred_percent(
    database: Database, ledger: Ledger, admin: Any, steps: tuple[int, ...], warned: list[int]
) -> None:
    for used in steps:
        hold = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, used)])
        await _settle(ledger, hold, used)

    rows = await admin.fetch("SELECT details FROM audit_logs WHERE action = 'limits.warning' ORDER BY id")
    assert [json.loads(row["details"])["percent"] for row in rows] == warned


async def test_who_is_refused_while_much_is_left_is_no_reason_to_warn(ledger: Ledger, admin: Any) -> None:
    hold = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 40)])
    await _settle(ledger, hold, 40)
    with pytest.raises(LimitReached):
        await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 70)])
    assert await admin.fetchval("SELECT count(*) FROM audit_logs WHERE action = 'limits.warning'") == 0

    hold = await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 45)])
    await _settle(ledger, hold, 45)
    with pytest.raises(LimitReached):
        await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 20)])

    rows = await admin.fetch("SELECT details FROM audit_logs WHERE action = 'limits.warning' ORDER BY id")
    said = [json.loads(row["details"]) for row in rows]
    assert [(one["percent"], Decimal(one["used"])) for one in said] == [(80, 85), (100, 85)]


def test_a_call_claims_of_each_limit_that_there_is_in_the_window_of_the_moment() -> None:
    limits = Limits(requests_per_minute=5, monthly_cost_usd=Decimal("2.5"), parallel_calls=1)

    found = claims([("tenant", limits), ("user/1", Limits())], 100, Decimal("0.25"), MOMENT)

    assert [(claim.window.kind, claim.window.measure, claim.amount) for claim in found] == [
        ("minute", "requests", 1),
        ("month", "cost", Decimal("0.25")),
        ("none", "parallel", 1),
    ]
    assert [claim.window.start for claim in found[:2]] == [MOMENT.replace(second=0), datetime(2030, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("window", "amount", "reserved", "used", "seconds"),
    [
        ("month", 50, 60, 0, 1.0),
        ("month", 50, 0, 60, 30.0),
        ("month", 50, 60, 60, 30.0),
        ("minute", 50, 60, 0, 1.0),
        ("minute", 50, 0, 60, 30.0),
        ("none", 1, 100, 0, 1.0),
        ("month", 101, 0, 0, None),
    ],
)
def test_who_is_refused_comes_back_when_calls_under_way_have_ended_or_when_the_window_is_over(
    window: Any, amount: int, reserved: int, used: int, seconds: float | None
) -> None:
    claim = _claim(100, amount, MONTH._replace(kind=window))

    refusal = claim.refusal(Decimal(reserved), Decimal(used), MOMENT)

    assert refusal is not None
    assert refusal.retry_after == seconds


def test_who_is_refused_for_requests_of_calls_under_way_comes_back_when_the_minute_is_over() -> None:
    claim = _claim(10, 1, MONTH._replace(kind="minute", measure="requests"))

    refusals = [claim.refusal(Decimal(reserved), Decimal(10 - reserved), MOMENT) for reserved in (0, 4)]

    assert [refusal and refusal.retry_after for refusal in refusals] == [30.0, 30.0]


async def test_who_is_refused_by_several_limits_is_told_of_the_one_that_stands_longest(
    database: Database, background: Background
) -> None:
    ledger = Ledger(database, AuditLog(database), background, clock=lambda: MOMENT.replace(day=30))
    requests = Window("minute", MOMENT.replace(day=30, second=0), "tenant", "requests")
    at_once = Window("none", datetime(1970, 1, 1, tzinfo=UTC), "tenant", "parallel")
    claimed = [_claim(1, 1, requests), _claim(100, 60), _claim(1, 1, at_once)]
    first = await ledger.reserve(PLATFORM_TENANT_ID, claimed)
    with pytest.raises(LimitReached) as under_way:
        await ledger.reserve(PLATFORM_TENANT_ID, claimed)
    await _settle(ledger, first, 60)

    with pytest.raises(LimitReached) as used_up:
        await ledger.reserve(PLATFORM_TENANT_ID, claimed)

    assert (under_way.value.fields["kind"], under_way.value.retry_after) == ("requests", 30.0)
    assert (used_up.value.fields["kind"], used_up.value.retry_after) == ("tokens", 86_430.0)


@pytest.mark.parametrize(
    ("used", "warned", "parts"),
    [
        (79, [], []),
        (80, [], [Decimal("0.8")]),
        (99, ["100:0.8"], []),
        (101, ["100:0.8"], [Decimal(1)]),
        (101, [], [Decimal("0.8"), Decimal(1)]),
        (101, ["100:0.8", "100:1"], []),
        (101, ["90:0.8", "90:1"], [Decimal("0.8"), Decimal(1)]),
    ],
)
def test_a_warning_is_due_until_it_was_given(used: int, warned: list[str], parts: list[Decimal]) -> None:
    assert due(Decimal("100.000"), Decimal(used), warned) == parts


async def test_a_reservation_whose_asker_has_gone_is_given_back(
    ledger: Ledger, admin: Any, scratch: Scratch, background: Background
) -> None:
    await ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 1)])
    async with scratch.connect() as blocker:
        transaction = blocker.transaction()
        await transaction.start()
        await blocker.execute("SELECT FROM quota_ledger FOR UPDATE")
        asking = asyncio.create_task(ledger.reserve(PLATFORM_TENANT_ID, [_claim(100, 50)]))
        await somebody_waits(blocker)
        asking.cancel()
        await asyncio.wait([asking])
        await transaction.rollback()

    async with asyncio.timeout(NOT_FOR_EVER):
        while await _row(admin) != (1, 0) or await admin.fetchval("SELECT count(*) FROM quota_holds") != 1:
            pass
