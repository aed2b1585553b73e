"""The ledger of limits. Its queries, and how they keep out of each other's way, are in `ledger.sql`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from server.db.database import Tx
from server.db.queries import load
from server.model.domain import CallLog
from server.model.holds import Wanted
from server.model.limits import Window
from server.model.store import logs, rollups

_QUERIES = load("server.model.store", "ledger.sql")

RECALLED = "atrium_spares_recalled"
"""Told with the tenant of whose limits something is held for calls to come: that is to be given back."""

LEASE_SECONDS = 60.0
"""How long a hold stands that nobody keeps: what a dead process held is given up after it."""


class Balance(NamedTuple):
    """What is reserved and used of a limit. `warned`: of what was warned."""

    reserved: Decimal
    used: Decimal
    warned: Sequence[str] = ()


_ZERO = Decimal(0)

NOTHING = Balance(_ZERO, _ZERO)

_UNLIMITED = Decimal("Infinity")


async def lock(tx: Tx, windows: Iterable[Window]) -> dict[Window, Balance]:
    """What the limits stand at whose rows there are, each held until the transaction ends."""
    return await _read(tx, "lock", sorted(set(windows)))


async def share_months(tx: Tx) -> None:
    """Holds off whoever makes rows of limits, until the transaction ends: before `lock` where `enter` follows."""
    await tx.execute(_QUERIES["share_months"], tenant_id=tx.tenant_id)


async def open_rows(tx: Tx, windows: Iterable[Window]) -> None:
    """Makes the rows of limits that have none yet, in a transaction that holds no other."""
    await tx.execute(_QUERIES["hold_months"], tenant_id=tx.tenant_id)
    await tx.execute(_QUERIES["open"], tenant_id=tx.tenant_id, **_keys(sorted(set(windows))))


async def read(tx: Tx, windows: Iterable[Window]) -> dict[Window, Balance]:
    """What the limits stand at, without holding them; what dead processes left on them does not count."""
    found = await _read(tx, "read", sorted(set(windows)))
    return {window: found.get(window, NOTHING) for window in windows}


async def expired(tx: Tx) -> tuple[set[UUID], set[Window]]:
    """The holds that dead processes have left, and the limits that they are of."""
    rows = await tx.fetch(_QUERIES["expired"])
    return {row["id"] for row in rows}, {Window(*row[1:]) for row in rows}


async def can_be_freed(tx: Tx, windows: Iterable[Window]) -> bool:
    """Whether dead processes have left anything on these limits, or anything is held of them for calls to come."""
    return bool(await tx.fetchval(_QUERIES["can_be_freed"], **_keys(windows)))


async def expire(tx: Tx, ids: Iterable[UUID]) -> dict[Window, Decimal]:
    """Removes those of these that have expired; how much they held of limits, which are held now."""
    rows = await tx.fetch(_QUERIES["expire"], ids=list(ids))
    return {Window(*row[:4]): row["amount"] for row in rows}


async def give_back(tx: Tx, freed: Mapping[Window, Decimal]) -> None:
    """Takes from what is reserved of limits that are held."""
    await tx.execute(_QUERIES["give_back"], amounts=_array(freed.values()), **_keys(freed))


Outcome = Literal["entered", "repeated", "differs"]
"""How entering calls went. `repeated`: they had been entered; `differs`: a warning is due, or something is too near its
limit for anything to be held for calls to come. In both nothing is done.
"""

Held = Mapping[UUID, Mapping[Window, Decimal]]
"""What each hold has of limits."""


Run = Callable[..., Awaitable[Any]]
"""What runs a statement that gives one value: `Tx.fetchval` in a transaction, `Database.at_once` as one."""


async def reserve(run: Run, tenant_id: UUID, wanted: Mapping[Window, Wanted], held: Held, lease: float) -> bool:
    """Reserves all of it where every limit has its row and room; false, and nothing done, where one has not. `lease`:
    seconds for which it holds.
    """
    done: bool = await run(
        _QUERIES["reserve"],
        tenant_id=tenant_id,
        **_keys(wanted),
        limits=_array(asked.limit for asked in wanted.values()),
        to_reserve=_array(asked.reserved for asked in wanted.values()),
        to_use=_array(asked.used for asked in wanted.values()),
        ids=list(held),
        held=_amounts(held, wanted),
        seconds=lease,
    )
    return done


async def enter(
    run: Run,
    tenant_id: UUID,
    used: Mapping[Window, Wanted],
    held: Held,
    records: Sequence[CallLog] = (),
    *,
    warnings: Sequence[Decimal] = (),
    share: Decimal | None = None,
    spares: Held | None = None,
    lease: float = LEASE_SECONDS,
) -> Outcome:
    """Writes calls down, removes their holds, gives back what those had that had not expired, and counts what was used,
    once however often it is done. `warnings`: the parts of a month's limit that are warned of. `share`: how much of a
    limit may be in use where something is held for calls to come; `spares`: what begins to be, for `lease` seconds.
    """
    spares = spares or {}
    outcome: Outcome = await run(
        _QUERIES["enter"],
        tenant_id=tenant_id,
        **_keys(used),
        limits=_array(_UNLIMITED if use.limit is None else use.limit for use in used.values()),
        to_reserve=_array(use.reserved for use in used.values()),
        to_use=_array(use.used for use in used.values()),
        warnings=_array(warnings),
        share=None if share is None else str(share),
        ids=list(held),
        held=_amounts(held, used),
        spares=list(spares),
        spared=_amounts(spares, used),
        seconds=lease,
        records=logs.rows(records),
        sums=rollups.sums(records),
    )
    return outcome


async def spares(tx: Tx, windows: Iterable[Window]) -> set[UUID]:
    """What processes that live hold of these limits for calls that are yet to come."""
    return {row["id"] for row in await tx.fetch(_QUERIES["spares"], **_keys(windows))}


async def lend(tx: Tx, ids: Sequence[UUID]) -> None:
    """What is held is of calls under way."""
    await tx.execute(_QUERIES["lend"], ids=ids)


async def note_warned(tx: Tx, window: Window, warned: Sequence[str]) -> None:
    """Notes what was warned of, on a row that is held."""
    kind, start, subject, measure = window
    place = {"window_kind": kind, "window_start": start, "subject": subject, "kind": measure}
    await tx.execute(_QUERIES["warned"], warned=warned, **place)


async def extend(tx: Tx, ids: Sequence[UUID], lease: float) -> None:
    """Keeps holds for another while."""
    await tx.execute(_QUERIES["extend"], ids=ids, seconds=lease)


async def prune(tx: Tx) -> None:
    """Removes the minutes that are long over."""
    await tx.execute(_QUERIES["prune"])


async def _read(tx: Tx, query: str, windows: Sequence[Window]) -> dict[Window, Balance]:
    return _balances(await tx.fetch(_QUERIES[query], **_keys(windows)))


def _balances(rows: Iterable[Any]) -> dict[Window, Balance]:
    return {Window(*row[:4]): Balance(row["reserved"], row["used"], row["warned"]) for row in rows}


def _keys(windows: Iterable[Window]) -> Mapping[str, str]:
    return _columns(tuple(windows))


@lru_cache(maxsize=256)  # a caller's are the same for a minute, in both ways of a call
def _columns(windows: tuple[Window, ...]) -> Mapping[str, str]:
    columns = [_array(column) for column in zip(*windows, strict=True)] or [_array(())] * 4
    return dict(zip(("window_kinds", "window_starts", "subjects", "kinds"), columns, strict=True))


def _amounts(held: Held, windows: Iterable[Window]) -> str:
    """What each has of each of the limits, one after the other."""
    return _array(amounts.get(window, _ZERO) for amounts in held.values() for window in windows)


def _array(values: Iterable[object]) -> str:
    """The text of an array of what needs no quoting: numbers, moments, our own words."""
    return f"{{{','.join(map(str, values))}}}"
