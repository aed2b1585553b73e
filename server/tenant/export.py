"""All that a tenant has, as NDJSON: a line for each row of each of its tables, but what no answer ever gives."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import cache, partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Numeric, Table, Text, cast, func, literal_column, select, text
from sqlalchemy.dialects.postgresql import JSONB

from server.db.base import metadata
from server.db.database import Database
from server.db.lines import Pages, Source, Sources, stream
from server.kernel.parts import Beat, Ended, Lines, Place

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

MADE_AGAIN = ("embedding", "search_vector")
"""Columns that are left out since they follow from others."""

_SEALED = ("audit_checkpoints", "previous_hash")
"""It is called as secrets are, and is none: what a seal states is all of it."""

LEFT_OUT = frozenset(
    {
        "call_journal",
        "embedding_cache",
        "idempotency_keys",
        "knowledge_builds",
        "knowledge_word_totals",
        "knowledge_words",
        "sign_in_guesses",
        "sign_in_throttle",
    }
)
"""Tables that are left out whole: what can be made again, answers that are remembered for a day, how near sign-ins are
to having to wait, and what is on its way into the records of calls.
"""


def export(database: Database, tenant_id: UUID, after: Place | None) -> AsyncGenerator[Lines | Beat | Ended, None]:
    """NDJSON in parts, of all tables. Raises InvalidRequest."""
    return stream(database, tenant_id, _sources(), after)


@cache
def _sources() -> Sources:
    return {
        table.name: partial(_source, table)
        for table in metadata.sorted_tables
        if table.info["scope"] != "global" and table.name not in LEFT_OUT
    }


@cache  # SQLAlchemy takes a tenth of a second to write those of all tables, in which the process does nothing else
def _source(table: Table) -> Source:
    key = list(table.primary_key)
    rows = select(*key, cast(_row(table), Text).label("line"))
    return Source(Pages.of(rows, key), head=b'{"table":"%s","row":' % table.name.encode(), tail=b"}\n")


def _row(table: Table) -> ColumnElement[Any]:
    """The row as JSON: exact, since numbers with a fraction are text, as they are in every answer."""
    row: ColumnElement[Any] = cast(func.to_jsonb(literal_column(table.name)), JSONB)
    for name in (*NEVER_TOLD, *MADE_AGAIN):
        if name in table.c and (table.name, name) != _SEALED:
            row = row.op("-")(text(f"'{name}'"))
    decimals = [column for column in table.c if isinstance(column.type, Numeric)]
    if decimals:
        named = [part for column in decimals for part in (text(f"'{column.name}'"), cast(column, Text))]
        row = row.op("||")(func.jsonb_build_object(*named))
    if "permission_id" in table.c:  # no table of the tenant's says which one that is
        permissions = metadata.tables["permissions"]
        this = permissions.c.id == table.c.permission_id
        code = select(permissions.c.resource + text("':'") + permissions.c.action).where(this).scalar_subquery()
        row = row.op("||")(func.jsonb_build_object(text("'permission'"), code))
    return row
