"""The audit log: what it takes to seal, verify, list and export many entries of one tenant, beside writing them."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import grpc

from atrium.audit.v1 import audit_log_pb2, audit_service_pb2_grpc, export_pb2, verify_pb2
from bench.figures import Figure
from bench.stage import Stage, found, staged
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.db.database import Database
from server.db.partitions import ensure_months
from server.identity.service.signing import SigningKeys
from server.kernel.audit import Change
from server.kernel.clock import now
from server.settings import Settings

ENTRIES = 5_000_000 if os.environ.get("SCALE") == "full" else 200_000
_BATCH = 200_000
_WRITTEN, _WRITERS = 4_000, 16
_ROUNDS = 20

_QUICKLY = "SET session_replication_role = replica; SET synchronous_commit = off"
# A month of them, from twenty minutes ago back: none is too young to be sealed.
_FILL = """
INSERT INTO audit_logs (
    tenant_id, id, user_id, actor_kind, action, resource_type, resource_id, old_value, new_value, ip_address,
    user_agent, request_id, session_id, trace_id, created_at
)
SELECT $1, uuidv7(age), uuidv7(n % 500 * interval '1 second'), 'user', 'things.do_' || n % 60, 'thing',
    (n % 10000)::text, jsonb_build_object('name', md5(n::text), 'count', n),
    jsonb_build_object('name', md5((n + 1)::text), 'count', n + 1), ('10.1.' || n % 250 || '.7')::inet,
    'grpc-go/1.80.0', md5(n::text), md5((n % 5000)::text), md5(n::text), now() + age
FROM generate_series($2::int, $3::int) n, LATERAL (
    SELECT interval '-20 minutes' - n * interval '25 days' / $4::int AS age
) moment
"""
_READ = "SELECT count(*), sum(length((e.*)::text)) FROM audit_logs e WHERE tenant_id = $1"


def run() -> list[Figure]:
    """A minute; with SCALE=full, several."""
    with staged() as stage:
        return asyncio.run(_measure(stage))


async def _measure(stage: Stage) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel, _parts(stage.settings) as (owner, log):
        _, platform = await stage.sign_in(channel)
        tenant_id, metadata = await found(channel, platform, "long-memory")
        client: Any = audit_service_pb2_grpc.AuditServiceStub(channel)
        of_others, _ = await found(channel, platform, "others")
        written = await _seconds(_write(log, UUID(of_others))) / _WRITTEN
        await ensure_months(stage.settings.admin_database_url or "", now().date() - timedelta(days=30), now().date())
        await _fill(owner, UUID(tenant_id))
        sealed = await _seconds(log.seal(UUID(tenant_id))) / ENTRIES
        read = await _seconds(owner.fetchrow(_READ, UUID(tenant_id))) / ENTRIES
        verified = await _seconds(_verify(client, metadata)) / ENTRIES
        exported = await _seconds(_export(client, metadata)) / ENTRIES
        every = [await _page(client, metadata) for _ in range(_ROUNDS)]
        chosen = [await _page(client, metadata, action="things.do_7") for _ in range(_ROUNDS)]
    return [
        Figure(f"seal an entry / write it, {_WRITERS} at once", sealed / written, "of its time", 0.1, at_most=True),
        Figure("seal an entry", sealed * 1e6, "µs"),
        Figure("verify an entry / PostgreSQL's reading it as text", verified / read, "of its time"),
        Figure("verify an entry", verified * 1e6, "µs"),
        Figure("entries exported", 1 / exported, "a second"),
        Figure(f"a page of 50 of {ENTRIES:,}, at the median", statistics.median(every), "ms", 20, at_most=True),
        Figure("the same of one action, at the median", statistics.median(chosen), "ms", 20, at_most=True),
    ]


class _Log:
    """Writes entries and seals them, as a server and its worker do."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.audit = AuditLog(database)
        signing = SigningKeys(database, self.audit, settings.master_keys, settings.access_life)
        self._sealing = Sealing(database, signing)

    async def seal(self, tenant_id: UUID) -> None:
        """Raises AssertionError where a transaction goes on for too long."""
        before = await self._sealing.horizon()
        assert before is not None
        await self._sealing(tenant_id, before)


@asynccontextmanager
async def _parts(settings: Settings) -> AsyncIterator[tuple[Any, _Log]]:
    owner: Any = await asyncpg.connect(settings.admin_database_url)
    try:
        async with Database.open(settings) as database:
            yield owner, _Log(database, settings)
    finally:
        await owner.close()


async def _seconds(work: Any) -> float:
    began = perf_counter()
    await work
    return perf_counter() - began


async def _write(log: _Log, tenant_id: UUID) -> None:
    async def some() -> None:
        for _ in range(_WRITTEN // _WRITERS):
            async with log.database.tenant_tx(tenant_id) as tx:
                await log.audit.record(tx, Change("things.do", "thing", tenant_id, new={"name": "one", "count": 1}))

    await asyncio.gather(*(some() for _ in range(_WRITERS)))


async def _fill(owner: Any, tenant_id: UUID) -> None:
    await owner.execute(_QUICKLY)
    for first in range(1, ENTRIES + 1, _BATCH):
        await owner.execute(_FILL, tenant_id, first, min(first + _BATCH - 1, ENTRIES), ENTRIES)
    await owner.execute("VACUUM ANALYZE audit_logs")


async def _verify(client: Any, metadata: Any) -> None:
    """All of the log. Raises AssertionError where something is not as it was."""
    request = verify_pb2.VerifyAuditLogsRequest(page_size=100)
    while True:
        answer = await client.VerifyAuditLogs(request, metadata=metadata)
        assert not answer.findings
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


async def _export(client: Any, metadata: Any) -> None:
    async for _ in client.ExportAuditLogs(export_pb2.ExportAuditLogsRequest(), metadata=metadata):
        pass


async def _page(client: Any, metadata: Any, **wanted: Any) -> float:
    """How long it takes, in milliseconds."""
    request = audit_log_pb2.ListAuditLogsRequest(filter=wanted)
    began = perf_counter()
    assert len((await client.ListAuditLogs(request, metadata=metadata)).audit_logs) == 50
    return (perf_counter() - began) * 1_000
