"""What a dead process noted of calls counts in full, whoever counts it: in each limit, once; nothing stays held."""

from __future__ import annotations

from typing import Any

import pytest

from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.holds import NO_HOLD, Settlement
from server.model.ledger import Ledger
from server.model.limits import LimitReached
from server.model.service.books import Books
from server.model.store import journal
from tests.databases import Scratch
from tests.factories.records import make_record
from tests.store.spares.holding import Clock, begin, claimed, end, process, rows_of, spares_in, with_a_spare

TOKENS = 7


@pytest.fixture
async def noted(scratch: Scratch, clock: Clock) -> Settlement:
    """A call, the third of a process that died before it counted it. It was lent what it used seven of."""
    async with process(scratch, clock) as dying:
        await with_a_spare(dying, claimed(100))
        hold = await begin(dying, claimed(100))
        assert dying.over(PLATFORM_TENANT_ID, hold)
        settlement = Settlement.of(hold, [make_record(total_tokens=TOKENS)])
        await journal.note(dying._database, PLATFORM_TENANT_ID, [settlement])
    return settlement


async def _lapse(admin: Any) -> None:
    await admin.execute("UPDATE quota_holds SET expires_at = now() - interval '1 second'")


async def test_who_reads_counts_it_in_each_limit_and_gives_back_what_it_held(
    noted: Settlement, ledger: Ledger, admin: Any
) -> None:
    assert await rows_of(admin) == {"requests": (1, 2), "tokens": (20, 6), "parallel": (1, 0)}

    await Books(ledger._database, ledger, ledger._background).caught_up(PLATFORM_TENANT_ID)

    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (0, 6 + TOKENS), "parallel": (0, 0)}
    assert not await spares_in(admin)
    assert not await admin.fetchval("SELECT count(*) FROM call_journal")


@pytest.mark.parametrize("looking", ["caller", "sweep"])
async def test_it_counts_before_what_it_held_is_given_up(
    noted: Settlement, ledger: Ledger, admin: Any, looking: str
) -> None:
    await _lapse(admin)

    if looking == "caller":
        with pytest.raises(LimitReached) as refusal:
            await begin(ledger, claimed(100, 90))
        assert (refusal.value.fields["reserved"], refusal.value.fields["used"]) == ("0", str(6 + TOKENS))
    else:
        await ledger.sweep(PLATFORM_TENANT_ID)

    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (0, 6 + TOKENS), "parallel": (0, 0)}


async def test_it_counts_before_a_limit_begins_to(noted: Settlement, ledger: Ledger, admin: Any) -> None:
    await ledger.reserve(
        PLATFORM_TENANT_ID,
        [claim._replace(window=claim.window._replace(subject="user/none")) for claim in claimed(100)],
    )

    assert not await admin.fetchval("SELECT count(*) FROM call_journal")


async def test_its_own_process_that_comes_to_it_after_all_counts_nothing_twice(
    noted: Settlement, ledger: Ledger, other: Ledger, admin: Any
) -> None:
    await Books(other._database, other, other._background).caught_up(PLATFORM_TENANT_ID)

    await ledger.enter(PLATFORM_TENANT_ID, [noted])

    assert await rows_of(admin) == {"requests": (0, 3), "tokens": (0, 6 + TOKENS), "parallel": (0, 0)}
    assert await admin.fetchval("SELECT count(*) FROM model_call_logs") == 1


async def test_a_call_that_asked_several_models_counts_whole(ledger: Ledger, admin: Any) -> None:
    settlement = Settlement.of(NO_HOLD, [make_record(), make_record()])
    await journal.note(ledger._database, PLATFORM_TENANT_ID, [settlement])

    await ledger.count_noted(PLATFORM_TENANT_ID, [journal.id_of(settlement)])

    assert await admin.fetchval("SELECT count(*) FROM model_call_logs") == 2
    assert await admin.fetchval("SELECT sum(calls) FROM usage_rollups WHERE grain = 'model'") == 2
    assert not await admin.fetchval("SELECT count(*) FROM call_journal")


async def test_it_counts_for_nobody_who_was_entered_with_its_caller(
    scratch: Scratch, clock: Clock, ledger: Ledger, admin: Any
) -> None:
    ann, bob = (
        [claim._replace(window=claim.window._replace(subject=f"user/{name}")) for claim in claimed(100)]
        for name in ("ann", "bob")
    )
    async with process(scratch, clock) as dying:
        for _ in range(2):
            await end(dying, await begin(dying, ann), await begin(dying, bob))
        hold = await begin(dying, ann)
        assert dying.over(PLATFORM_TENANT_ID, hold)
        await journal.note(dying._database, PLATFORM_TENANT_ID, [Settlement.of(hold, [make_record()])])

    await Books(ledger._database, ledger, ledger._background).caught_up(PLATFORM_TENANT_ID)

    rows = await admin.fetch("SELECT subject, kind, used FROM quota_ledger WHERE kind <> 'parallel'")
    used = {(row["subject"], row["kind"]): int(row["used"]) for row in rows}
    assert used == {
        ("user/ann", "requests"): 3,
        ("user/ann", "tokens"): 6 + TOKENS,
        ("user/bob", "requests"): 2,
        ("user/bob", "tokens"): 6,
    }


async def test_who_counts_it_too_late_leaves_its_process_what_it_holds_on(ledger: Ledger, admin: Any) -> None:
    await with_a_spare(ledger)
    hold = await begin(ledger)
    settlement = Settlement.of(hold, [make_record()])
    await journal.note(ledger._database, PLATFORM_TENANT_ID, [settlement])
    async with ledger._database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        found = await journal.read(tx, [journal.id_of(settlement)])
    await ledger.enter(PLATFORM_TENANT_ID, [settlement])
    following = await begin(ledger)
    assert following.parts[0].id == hold.parts[0].id

    await ledger.enter(PLATFORM_TENANT_ID, found, noted=True)

    assert ledger.over(PLATFORM_TENANT_ID, following), "it is lent still"
    assert following.parts[0].id in ledger._kept[PLATFORM_TENANT_ID]
    await end(ledger, following)
    assert await spares_in(admin) == 1
