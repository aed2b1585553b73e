"""The removal of what has had its time: it reads nothing else, and takes nothing that is renewed meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from server.db.database import Database
from server.db.removal import remove_all
from server.identity.store import expiry
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.store import caches
from tests.databases import WAITING, Cluster

ROWS = 2_000
NOT_FOR_EVER = 20.0
_READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1"

# Half of the two that are over have had their time, half were ended before.
_OVER = {
    "sessions": """
        INSERT INTO sessions (tenant_id, user_id, refresh_hash, expires_at, revoked_at)
        SELECT u.tenant_id, u.id, 'hash', now() + CASE n WHEN 1 THEN interval '-8 days' ELSE interval '1 day' END,
            CASE n WHEN 2 THEN now() - interval '8 days' END
        FROM users u, generate_series(1, $1) n
    """,
    "one_time_tokens": """
        INSERT INTO one_time_tokens (tenant_id, user_id, purpose, token_hash, expires_at, used_at)
        SELECT u.tenant_id, u.id, 'verify_email', n,
            now() + CASE n WHEN 1 THEN interval '-8 days' ELSE interval '1 day' END,
            CASE n WHEN 2 THEN now() - interval '8 days' END
        FROM users u, generate_series(1, $1) n
    """,
}


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.mark.parametrize("known", [False, True], ids=["known to be small", "known"])
@pytest.mark.parametrize("table", _OVER)
async def test_to_remove_what_is_over_reads_nothing_else(
    table: str, database: Database, admin: Any, *, known: bool
) -> None:
    await admin.execute(
        "INSERT INTO users (tenant_id, username, email) VALUES ($1, 'ada', 'ada@x')", PLATFORM_TENANT_ID
    )
    await admin.execute(f"ANALYZE {table}")
    await admin.execute(_OVER[table], ROWS)
    if known:
        await admin.execute(f"ANALYZE {table}")
    async with database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        assert await tx.fetchval(expiry.EXPIRED[table]) == 2

        assert (await tx.run(_READ, table))[0][0] == 2


async def test_what_is_renewed_while_the_removal_waits_for_it_stays(database: Database, admin: Any) -> None:
    rows = """
        INSERT INTO response_cache (tenant_id, question_hash, answer, expires_at)
        SELECT $1, sha256(n::text::bytea), '{}', now() - interval '1 hour' FROM generate_series(1, 2) n
    """
    await admin.execute(rows, PLATFORM_TENANT_ID)
    async with asyncio.timeout(NOT_FOR_EVER):
        async with admin.transaction():
            await admin.execute(
                """
                UPDATE response_cache SET expires_at = now() + interval '1 hour'
                WHERE question_hash = sha256('1'::text::bytea)
                """
            )
            removing = asyncio.create_task(remove_all(database, PLATFORM_TENANT_ID, caches.EXPIRED[0]))
            while not await admin.fetchval(WAITING):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

        assert await removing == 1

    assert await admin.fetchval("SELECT count(*) FROM response_cache WHERE expires_at > now()") == 1
