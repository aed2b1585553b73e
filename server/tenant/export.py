"""All that a tenant has, as NDJSON: a line for each row of each of its tables, but what no answer ever gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Table, bindparam, cast, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import metadata
from server.db.database import Database
from server.db.statements import Statement

NEVER_TOLD = (
    "ciphertext",
    "locked_until",
    "login_attempts",
    "nonce",
    "password_hash",
    "previous_hash",
    "refresh_hash",
    "secret_hash",
    "token_epoch",
    "token_hash",
    "wrapped_key",
)
"""Columns that are left out wherever they stand: secrets, and how near somebody is to a lock-out."""

LEFT_OUT = frozenset({"embedding_cache", "idempotency_keys"})
"""Tables that hold nothing of the tenant's own: what can be made again, and answers that are remembered for a day."""

_ROWS = 500


async def export(database: Database, tenant_id: UUID) -> AsyncIterator[tuple[bytes, int]]:
    """Whole lines of NDJSON, and how many they are, a page of rows at a time, each read in a transaction of its own.

    No transaction is open while a page is taken.
    """
    for table in metadata.sorted_tables:
        if table.name in LEFT_OUT or table.info["scope"] == "global":
            continue
        first, following = _statements(table)
        keys = [column.name for column in table.primary_key]
        after: Sequence[object] | None = None
        while True:
            values = {} if after is None else {f"after_{name}": value for name, value in zip(keys, after, strict=True)}
            async with database.tenant_tx(tenant_id) as tx:
                rows = await tx.fetch(first if after is None else following, **values)
            if rows:
                lines = (orjson.dumps({"table": table.name, "row": row["exported"]}) for row in rows)
                yield b"\n".join(lines) + b"\n", len(rows)
                after = [rows[-1][name] for name in keys]
            if len(rows) < _ROWS:
                break


def _statements(table: Table) -> tuple[Statement, Statement]:
    """The first page, and the one after a row, of the transaction's tenant."""
    key: list[ColumnElement[object]] = list(table.primary_key)
    row: ColumnElement[object] = cast(func.to_jsonb(literal_column(table.name)), JSONB)
    for name in NEVER_TOLD:
        if name in table.c:
            row = row.op("-")(literal_column(f"'{name}'"))
    page = select(*key, row.label("exported")).order_by(*key).limit(_ROWS)
    after = tuple_(*(bindparam(f"after_{column.name}", type_=column.type) for column in table.primary_key))
    return Statement(page), Statement(page.where(tuple_(*key) > after))
