"""Every row that there is, and which of them a call has changed."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from server.db.base import metadata

_WORK = ("tenant_jobs", "tenant_slots")
LOGS = ("audit_logs", "ddl_audit_logs", "sign_in_guesses", "sign_in_throttle", "quota_ledger", "tenant_keys", *_WORK)
"""Tables of logs, of what guesses and calls are counted by, of keys that are made when the first one is needed, and of
what workers do meanwhile.
"""


Rows = dict[str, dict[str, dict[str, Any]]]
_TABLES = [(table.name, ", ".join(column.name for column in table.primary_key)) for table in metadata.sorted_tables]


async def rows_of(admin: Any) -> Rows:
    """Every row of every table, by its key."""
    found: Rows = {}
    for name, key in _TABLES:
        rows = await admin.fetch(f"SELECT ROW({key})::text AS key, to_jsonb(t) AS row FROM {name} t")
        found[name] = {row["key"]: orjson.loads(row["row"]) for row in rows}
    return found


async def rows_at_rest(admin: Any) -> Rows:
    """The same, when the calls of models that are over are counted."""
    async with asyncio.timeout(20):
        while await admin.fetchval("SELECT EXISTS (SELECT FROM call_journal)"):  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
    return await rows_of(admin)


def changes_between(before: Rows, after: Rows) -> dict[str, list[tuple[Any, Any]]]:
    """Each row that is not what it was, by its table: as it was and as it is (None: not there)."""
    changed = {}
    for table in before.keys() - set(LOGS):
        was, now = before[table], after[table]
        differing = [(was.get(key), now.get(key)) for key in was.keys() | now.keys() if was.get(key) != now.get(key)]
        if differing:
            changed[table] = differing
    return changed
