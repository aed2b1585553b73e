"""A database behind one connection, which is watched."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.db.database import Database
from server.db.pool import Pool
from tests.databases import Scratch
from tests.store.line import Line


@pytest.fixture
def line(scratch: Scratch) -> Line:
    return Line(scratch.settings())


@pytest.fixture
async def one(line: Line) -> AsyncIterator[Database]:
    """A database behind that line."""
    pool = Pool(line.open, 1)
    try:
        yield Database(pool)
    finally:
        await pool.close()
