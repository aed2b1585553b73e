"""What tests of jobs can ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.db.database import Database
from server.jobs.queue import waking
from tests.databases import Scratch


@pytest.fixture
async def asking(scratch: Scratch, database: Database) -> AsyncIterator[Database]:
    """A database whose jobs wake the workers."""
    async with waking(scratch.settings(), database):
        yield database
