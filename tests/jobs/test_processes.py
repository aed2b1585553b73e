"""Who works: `atrium serve` unless it is told not to, and `atrium worker`, which ends within its grace period."""

from __future__ import annotations

import asyncio
import signal
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

from server.db.database import Database
from server.db.partitions import ensure_months
from server.kernel.clock import now
from server.kernel.ids import PLATFORM_TENANT_ID, uuid7_floor
from tests.databases import Scratch, somebody_waits
from tests.jobs.working import STATUS, ask, until
from tests.processes import atrium, environment, free_port

_LEFT = "SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint = 'prune/1'"
_OF_A_KIND = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = '{}' AND datname = current_database()"


async def test_a_server_does_jobs(scratch: Scratch, database: Database, admin: Any) -> None:
    await ask(database, "prune/1")

    async with atrium(environment(scratch)) as process:
        await process.port()
        await until(admin, _LEFT, 0)


async def test_a_server_that_is_told_not_to_does_none(scratch: Scratch, database: Database, admin: Any) -> None:
    await ask(database, "prune/1")

    async with atrium(environment(scratch, worker=False)) as process:
        await process.port()
        await until(admin, _OF_A_KIND.format("atrium waking"), True)  # noqa: FBT003
        assert not await admin.fetchval(_OF_A_KIND.format("atrium worker"))
        assert await admin.fetchval(_LEFT) == 1


async def test_a_worker_that_is_told_to_stop_ends_within_its_grace_period_and_leaves_its_job_to_others(
    scratch: Scratch, database: Database, admin: Any
) -> None:
    async with _stuck(scratch), atrium(environment(scratch, grace_seconds=1), "worker") as process:
        await ask(database, "upkeep/1")
        await somebody_waits(admin)

        process.send(signal.SIGTERM)

        stopped = monotonic()
        await until(admin, STATUS, "queued")
        assert monotonic() - stopped < 1 + 5, "and what a busy machine adds"
        assert await process.end() == 0
    assert await admin.fetchval("SELECT attempts FROM jobs.runs") == 0


async def test_a_worker_serves_its_metrics(scratch: Scratch, database: Database, admin: Any) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with atrium(environment(scratch, metrics_address=address), "worker"):
        await ask(database, "prune/1")
        await until(admin, _LEFT, 0)

        with await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/metrics") as answer:
            text = answer.read().decode()
    assert 'atrium_jobs_total{entrypoint="prune/1",outcome="done"} 1.0' in text


async def test_a_worker_seals_the_audit_log_and_removes_what_is_no_longer_kept_of_it(
    scratch: Scratch, database: Database, admin: Any
) -> None:
    long_ago = now() - timedelta(days=400)
    await ensure_months(scratch.admin_url, long_ago.date(), now().date())
    for moment in (long_ago, now() - timedelta(hours=1)):
        await admin.execute(
            "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, created_at) "
            "VALUES ($1, $2, 'system', 'things.do', 'thing', $3)",
            *(PLATFORM_TENANT_ID, uuid7_floor(moment), moment),
        )

    async with atrium(environment(scratch, admin_database_url=scratch.admin_url), "worker"):
        await ask(database, "seal/1")
        await until(admin, "SELECT count(*) FROM audit_checkpoints", 2)
        await ask(database, "retention/1")
        await until(admin, "SELECT count(*) FROM audit_logs WHERE action = 'things.do'", 1)

    assert (
        await admin.fetchval("SELECT details ->> 'entries' FROM audit_logs WHERE action = 'audit_logs.remove'") == "1"
    )


@asynccontextmanager
async def _stuck(scratch: Scratch) -> AsyncIterator[None]:
    """Who would remove codes that have expired waits."""
    async with scratch.connect() as other, other.transaction():
        await other.execute("LOCK TABLE one_time_tokens")
        yield
