"""One way up and down through all revisions, on which people put rows into every table at each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.db import migrate
from server.db.bootstrap import bootstrap
from server.db.revision import SCHEMA_REVISION
from tests.databases import Cluster, Scratch
from tests.migration.rows import OWN, fill_beside, rows_up_to

Rows = dict[str, set[str]]
"""Whole rows as the database writes their JSON, by table."""

_SEEDED = {"permissions", "role_permissions", "models", "model_prices"}
"""Migrations change the seeds in these, and so they are looked at for what people put there alone."""


@dataclass(frozen=True)
class Trace:
    """What became of the rows of one revision."""

    empty: list[str]
    """The tables that nobody had put a row into."""
    lost_above: list[tuple[str, dict[str, Any]]]
    """What was not there any more at the last revision."""
    lost_back: list[tuple[str, dict[str, Any]]]
    """And on the way back, at the same revision."""


async def walk(cluster: Cluster, revisions: Sequence[str]) -> dict[str, Trace]:
    """What became of all that was in the database at each of the revisions, which are in order."""
    filled, back = {}, {}
    async with cluster.empty() as scratch:
        await bootstrap(scratch.admin_url)
        for revision in revisions:
            await migrate.up(scratch.admin_url, revision)
            await fill_beside(scratch, revision)
            filled[revision] = await _rows(scratch, revision)
        await migrate.up(scratch.admin_url)
        above = await _rows(scratch, SCHEMA_REVISION)
        for revision in reversed(revisions):
            await migrate.down(scratch.admin_url, revision)
            back[revision] = _lost(filled[revision], await _rows(scratch, revision))
    return {
        revision: Trace([table for table, found in rows.items() if not found], _lost(rows, above), back[revision])
        for revision, rows in filled.items()
    }


async def _rows(scratch: Scratch, revision: str) -> Rows:
    found: Rows = {table: set() for table in rows_up_to(revision)}
    each = [
        f"SELECT '{table}', row FROM (SELECT to_jsonb(t)::text AS row FROM {table} t) t"
        + (f" WHERE row LIKE '%{OWN}%'" if table in _SEEDED else "")
        for table in found
    ]
    async with scratch.connect() as admin:
        for table, row in await admin.fetch(" UNION ALL ".join(each)) if each else []:
            found[table].add(row)
    return found


def _lost(before: Rows, after: Rows) -> list[tuple[str, dict[str, Any]]]:
    """The rows that are not there afterwards, whatever columns they have gained."""
    lost = []
    for table, rows in before.items():
        if others := [json.loads(row) for row in rows - after[table]]:
            found = [{name: row.get(name) for name in others[0]} for row in map(json.loads, after[table])]
            lost += [(table, row) for row in others if row not in found]
    return lost
