from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from server.model.ledger import Ledger
from tests.databases import Cluster, Scratch
from tests.store.spares.holding import Clock, process


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.fixture
def clock() -> Clock:
    """Of all processes: a second goes by when a test says so."""
    return Clock()


@pytest.fixture
async def ledger(scratch: Scratch, clock: Clock) -> AsyncIterator[Ledger]:
    async with process(scratch, clock) as made:
        yield made


@pytest.fixture
async def other(scratch: Scratch, clock: Clock) -> AsyncIterator[Ledger]:
    """Another process."""
    async with process(scratch, clock) as made:
        yield made


@pytest.fixture
async def tenants(admin: Any) -> list[UUID]:
    sql = "INSERT INTO tenants (slug, name) VALUES ($1, $1) RETURNING id"
    return [await admin.fetchval(sql, slug) for slug in ("ann", "bob")]
