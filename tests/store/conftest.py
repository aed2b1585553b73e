"""A database behind one connection, which is watched; and who fills one for the tests of a module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.db.database import Database
from server.db.pool import Pool
from tests.databases import Scratch
from tests.store.line import Line


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads what they are marked with
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """To fill a database takes longer than to look at it: one worker of pytest-xdist does, for each server."""
    for item in items:
        if isinstance(item, pytest.Function) and {"busy", "each_postgres"} <= set(item.fixturenames):
            version = item.callspec.params["each_postgres"]
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}-{version}"))


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
