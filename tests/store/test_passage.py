"""What a server refuses to start through: a pooler that keeps from it what it counts on."""

from __future__ import annotations

from typing import Any

import pytest

from server.db.database import Database
from server.db.errors import DatabaseRefused
from tests.databases import Cluster, Scratch
from tests.poolers import pooled


async def _opens(scratch: Scratch, **settings: Any) -> None:
    async with Database.open(scratch.settings(**settings)):
        pass


async def test_a_pooler_of_transactions_is_found_out_where_nothing_else_is_listened_to(shared: Scratch) -> None:
    async with pooled(shared.url) as url:
        with pytest.raises(DatabaseRefused, match=r"pooler of transactions.*set ATRIUM_LISTEN_DATABASE_URL"):
            await _opens(shared, database_url=url)


async def test_a_pooler_is_no_address_to_listen_at(shared: Scratch) -> None:
    async with pooled(shared.url) as url:
        with pytest.raises(DatabaseRefused, match=r"ATRIUM_LISTEN_DATABASE_URL leads .* through a pooler"):
            await _opens(shared, listen_database_url=url)


async def test_a_pooler_that_loses_prepared_statements_is_refused(shared: Scratch) -> None:
    async with pooled(shared.url) as url:
        with pytest.raises(DatabaseRefused, match="does not keep prepared statements: PgBouncer does"):
            await _opens(shared, database_url=url, listen_database_url=shared.url)


async def test_an_address_to_listen_at_is_of_the_same_database(shared: Scratch, postgres: Cluster) -> None:
    async with postgres.empty() as other:
        with pytest.raises(DatabaseRefused, match="leads to another database than ATRIUM_DATABASE_URL"):
            await _opens(shared, listen_database_url=other.admin_url)


async def test_another_role_may_listen(shared: Scratch) -> None:
    await _opens(shared, listen_database_url=shared.owner_url)
