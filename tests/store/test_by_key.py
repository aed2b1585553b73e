"""What is looked for by its key reads no other row of its tenant, whatever the statistics say of the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from server.db.database import Database, Tx
from server.identity.store import idempotency, throttle
from server.kernel.ids import PLATFORM_TENANT_ID
from server.model.store import caches, contents, generations
from tests.databases import Cluster

# Of fewer rows all are read, whatever indexes there are; of more it shows in the table's size that they are many.
ROWS = {
    "idempotency_keys": 800,
    "sign_in_throttle": 300,
    "sign_in_guesses": 300,
    "call_contents": 400,
    "response_cache": 800,
    "embedding_cache": 800,
    "generations": 800,
}
MORE = 1_000
TIMES = 8
"""More than the five executions after which PostgreSQL may turn to a plan without the values."""

_ROWS = {
    "idempotency_keys": """
        INSERT INTO idempotency_keys (tenant_id, caller, method, key, request_hash, status, expires_at)
        SELECT $1, $1, 'm', n::text, 'hash', 'running', now() + interval '1 hour' FROM generate_series(1, $2) n
    """,
    "sign_in_throttle": """
        INSERT INTO sign_in_throttle (tenant_id, address)
        SELECT $1, '10.0.0.0'::inet + n FROM generate_series(1, $2) n
    """,
    "sign_in_guesses": """
        INSERT INTO sign_in_guesses (tenant_id, user_id, address)
        SELECT $1, $1, '10.0.0.0'::inet + n FROM generate_series(1, $2) n
    """,
    "call_contents": """
        INSERT INTO call_contents (tenant_id, call_log_id, messages)
        SELECT $1, lpad(to_hex(n), 32, '0')::uuid, '[]' FROM generate_series(1, $2) n
    """,
    "response_cache": """
        INSERT INTO response_cache (tenant_id, question_hash, answer, expires_at)
        SELECT $1, sha256(n::text::bytea), '{}', now() + interval '1 hour' FROM generate_series(1, $2) n
    """,
    "embedding_cache": """
        INSERT INTO embedding_cache (tenant_id, model_id, content_hash, vector, expires_at)
        SELECT $1, $1, sha256(n::text::bytea), '', now() + interval '1 hour' FROM generate_series(1, $2) n
    """,
    "generations": """
        INSERT INTO generations (tenant_id, id, user_id, kept_until, expires_at)
        SELECT $1, lpad(to_hex(n), 32, '0')::uuid, $1, now(), now() + n % 2 * interval '1 hour'
        FROM generate_series(1, $2) n
    """,
}
_READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = $1"

LookUp = Callable[[Database, Tx, int], Awaitable[Any]]


def _hash(n: int) -> bytes:
    return sha256(str(n).encode()).digest()


def _key(n: int) -> dict[str, Any]:
    return {"caller": PLATFORM_TENANT_ID, "method": "m", "key": str(n)}


def _stream(n: int) -> generations.Key:
    return generations.Key(PLATFORM_TENANT_ID, PLATFORM_TENANT_ID, UUID(int=n))


def _attempt(n: int, aimed_at: UUID | None) -> throttle.Attempt:
    return throttle.Attempt(
        allowed=True, network=f"10.0.{n // 256}.{n % 256}", aimed_at=aimed_at, account_wait=None, address_wait=None
    )


# The table, how many of its rows a look-up has to do with, and the look-up.
LOOK_UPS: dict[str, tuple[str, int, LookUp]] = {
    "recall an answer": (
        *("idempotency_keys", 1),
        lambda database, _, n: idempotency.recall(database, PLATFORM_TENANT_ID, **_key(n)),
    ),
    "find an answer": ("idempotency_keys", 1, lambda _, tx, n: idempotency.find(tx, **_key(n))),
    "release a key": ("idempotency_keys", 1, lambda _, tx, n: idempotency.release(tx, **_key(n), claim=UUID(int=n))),
    "take an attempt back": ("sign_in_throttle", 1, lambda _, tx, n: throttle.forget(tx, _attempt(n, None))),
    "forget guesses": (
        *("sign_in_guesses", 2),  # they are looked at, and removed
        lambda _, tx, n: throttle.forget(tx, _attempt(n, PLATFORM_TENANT_ID)),
    ),
    "what was said": ("call_contents", 1, lambda _, tx, n: contents.get(tx, UUID(int=n))),
    "an answer again": (
        *("response_cache", 1),
        lambda database, _, n: caches.answer(database, PLATFORM_TENANT_ID, _hash(n), 60.0),
    ),
    "vectors again": (
        *("embedding_cache", 3),
        lambda _, tx, n: caches.vectors(tx, PLATFORM_TENANT_ID, [_hash(n + more) for more in range(3)], 60.0),
    ),
    "how a stream is": ("generations", 1, lambda database, _, n: generations.state(database, _stream(n))),
    "cancel a stream": ("generations", 1, lambda _, tx, n: generations.cancel(tx, _stream(n))),
    "keep a stream": ("generations", 1, lambda _, tx, n: generations.keep(tx, UUID(int=n), ended=False)),
    "remove a stream": ("generations", 1, lambda _, tx, n: generations.remove(tx, UUID(int=n))),
    "begin a stream anew": (
        *("generations", 1),
        lambda _, tx, n: generations.create(tx, _stream(n + 1), UUID(int=MORE + n), b"asked", 60.0),  # it has expired
    ),
}


@pytest.fixture(scope="session")
def postgres(each_postgres: Cluster) -> Cluster:
    """Each test runs on every major version at hand."""
    return each_postgres


@pytest.mark.parametrize("name", LOOK_UPS)
async def test_no_row_is_read_that_is_not_looked_for(name: str, database: Database, admin: Any) -> None:
    table, rows, look_up = LOOK_UPS[name]
    await admin.execute(f"ANALYZE {table}")  # it is known to be small
    await admin.execute(_ROWS[table], PLATFORM_TENANT_ID, ROWS[table])
    read: list[int] = []

    async def begun(_: Tx) -> None:
        """All of it is one transaction, whose connection keeps its plans."""

    async with database.whole_tx(PLATFORM_TENANT_ID, begun), database.tenant_tx(PLATFORM_TENANT_ID) as tx:
        for turn in range(TIMES):  # the first five of them are planned each by itself
            await look_up(database, tx, 1 + 10 * turn)
            read.append((await tx.run(_READ, table))[0][0])

    assert [after - before for before, after in pairwise([0, *read])] == [rows] * TIMES
