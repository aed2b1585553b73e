"""The ledger of limits. Its queries, and how they keep out of each other's way, are in `ledger.sql`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from server.db.database import Tx
from server.db.queries import load
from server.model.limits import Window

_QUERIES = load("server.model.store", "ledger.sql")

LEASE_SECONDS = 60.0
"""How long a reservation holds that nobody keeps: what a dead process held is given up after it."""


class Balance(NamedTuple):
    """What is reserved and used of a limit."""

    reserved: Decimal
    used: Decimal


NOTHING = Balance(Decimal(0), Decimal(0))


async def lock(tx: Tx, windows: Iterable[Window]) -> dict[Window, Balance]:
    """What the limits stand at whose rows there are, each held until the transaction ends."""
    return await _read(tx, "lock", sorted(set(windows)))


async def open_rows(tx: Tx, windows: Iterable[Window]) -> None:
    """Makes the rows of limits that have none yet, in a transaction that holds no other."""
    await tx.execute(_QUERIES["open"], tenant_id=tx.tenant_id, **_keys(sorted(set(windows))))


async def read(tx: Tx, windows: Iterable[Window]) -> dict[Window, Balance]:
    """What the limits stand at, without holding them."""
    found = await _read(tx, "read", sorted(set(windows)))
    return {window: found.get(window, NOTHING) for window in windows}


async def expire(tx: Tx, windows: Iterable[Window]) -> dict[Window, Decimal]:
    """Removes what dead processes left on these limits; how much each was held by it."""
    rows = await tx.fetch(_QUERIES["expire"], **_keys(sorted(set(windows))))
    return {Window(*row[:4]): row["amount"] for row in rows}


async def expired(tx: Tx) -> list[Window]:
    """The limits on which dead processes have left reservations."""
    return [Window(*row) for row in await tx.fetch(_QUERIES["expired"])]


async def change(tx: Tx, changes: Mapping[Window, Balance]) -> None:
    """Adds to what is reserved and used of limits that are held."""
    await tx.execute(_QUERIES["change"], **_changes(changes))


async def hold(tx: Tx, changes: Mapping[Window, Balance], reservations: Sequence[tuple[UUID, Window, Decimal]]) -> None:
    """The same, and writes down what calls under way may yet use."""
    held = _keys([window for _, window, _ in reservations])
    await tx.execute(
        _QUERIES["hold"],
        tenant_id=tx.tenant_id,
        seconds=LEASE_SECONDS,
        ids=[reservation for reservation, _, _ in reservations],
        amounts=[amount for _, _, amount in reservations],
        **{f"held_{name}": column for name, column in held.items()},
        **_changes(changes),
    )


async def settle(tx: Tx, used: Mapping[Window, Decimal], ids: Sequence[UUID]) -> dict[Window, Balance]:
    """Removes reservations, gives back what those of them held that had not expired, and adds what was used of limits;
    what they stand at now.
    """
    rows = await tx.fetch(_QUERIES["settle"], ids=ids, used=list(used.values()), **_keys(used))
    return _balances(rows)


async def extend(tx: Tx, ids: Sequence[UUID]) -> None:
    """Keeps reservations for another while."""
    await tx.execute(_QUERIES["extend"], ids=ids, seconds=LEASE_SECONDS)


async def prune(tx: Tx) -> None:
    """Removes the minutes that are long over."""
    await tx.execute(_QUERIES["prune"])


async def _read(tx: Tx, query: str, windows: Sequence[Window]) -> dict[Window, Balance]:
    return _balances(await tx.fetch(_QUERIES[query], **_keys(windows)))


def _balances(rows: Iterable[Any]) -> dict[Window, Balance]:
    return {Window(*row[:4]): Balance(row["reserved"], row["used"]) for row in rows}


def _changes(changes: Mapping[Window, Balance]) -> dict[str, list[Any]]:
    return {
        **_keys(changes),
        "reserved": [change.reserved for change in changes.values()],
        "used": [change.used for change in changes.values()],
    }


def _keys(windows: Iterable[Window]) -> dict[str, list[Any]]:
    columns: list[list[Any]] = [list(column) for column in zip(*windows, strict=True)] or [[], [], [], []]
    return dict(zip(("window_kinds", "window_starts", "subjects", "kinds"), columns, strict=True))
