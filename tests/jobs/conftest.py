"""What tests of jobs can ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database
from server.jobs.queue import waking
from tests.databases import Scratch
from tests.jobs.executing import Executing


@pytest.fixture
async def asking(scratch: Scratch, database: Database) -> AsyncIterator[Database]:
    """A database whose jobs wake the workers."""
    async with waking(scratch.settings(), database):
        yield database


@pytest.fixture
async def tenants(admin: Any) -> tuple[UUID, UUID]:
    """Two tenants."""
    rows = await admin.fetch("INSERT INTO tenants (name, slug) VALUES ('Ada', 'ada'), ('Bob', 'bob') RETURNING id")
    first, second = (row["id"] for row in rows)
    return first, second


@pytest.fixture
def held(database: Database, admin: Any, tenants: tuple[UUID, UUID]) -> Executing:
    """What executes workflows, and whose chats are held."""
    return Executing(database, admin, tenants[0], shut=True)


@pytest.fixture
def active(database: Database, admin: Any, tenants: tuple[UUID, UUID]) -> Executing:
    """The same, and nothing of it is held."""
    return Executing(database, admin, tenants[0])
