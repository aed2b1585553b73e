"""Lists: a page of users, first or last, beside many users of others and many deleted ones."""

from __future__ import annotations

import asyncio
import os
import statistics
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import grpc

from atrium.identity.v1 import identity_service_pb2_grpc, user_pb2
from bench.figures import Figure
from bench.stage import Stage, found, staged
from server.identity.store import users

LIVE = 10_000
BESIDE = 1_000_000 if os.environ.get("SCALE") == "full" else 100_000
"""Live users of other tenants, and deleted ones of one of the two that are listed."""

PLAN = Path(__file__).parent / "out" / "lists.plan.txt"

_PAGE = 50
_ENDS = 20
_ROUNDS = 3

_USERS = """
INSERT INTO users (tenant_id, id, username, email, deleted_at)
SELECT $1::uuid, uuidv7(n * interval '-1 second'), $2 || n, $2 || n || '@bench.example', CASE WHEN $4 THEN now() END
FROM generate_series(1, $3::int) AS n
"""


def run() -> list[Figure]:
    """About a minute; with SCALE=full, several."""
    with staged() as stage:
        return asyncio.run(_measure(stage))


async def _measure(stage: Stage) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        _, platform = await stage.sign_in(channel)
        plain, among = [await found(channel, platform, slug) for slug in ("plain", "among")]
        figures = [Figure("users of others, deleted users", float(BESIDE), "each")]
        await _fill(stage, [(plain[0], "live", LIVE, False), (among[0], "live", LIVE, False)])
        small = await _pages(channel, plain[1])
        await _fill(stage, [(among[0], "deleted", BESIDE, True), ("others", "live", BESIDE, False)])
        for name, (first, last) in {
            "alone": small,
            "beside many of others": await _pages(channel, plain[1]),
            "beside many deleted": await _pages(channel, among[1]),
        }.items():
            figures += [
                Figure(f"{name}, first page", first, "ms at the median"),
                Figure(f"{name}, last page", last, "ms at the median"),
                Figure(f"{name}: last / first", last / first, "of its time", 1.25, at_most=True),
            ]
            if name != "alone":
                figures.append(Figure(f"{name} / alone", first / small[0], "of its time", 1.25, at_most=True))
        await _show_plan(stage, among[0])
        return figures


async def _fill(stage: Stage, rows: list[tuple[str, str, int, bool]]) -> None:
    admin: Any = await asyncpg.connect(stage.settings.admin_database_url)
    for tenant_id, prefix, number, deleted in rows:
        if tenant_id == "others":
            tenant_id = await admin.fetchval("INSERT INTO tenants (name, slug) VALUES ('o', 'others') RETURNING id")
        await admin.execute(_USERS, tenant_id, prefix, number, deleted)
    await admin.execute("VACUUM ANALYZE users")
    await admin.close()


async def _show_plan(stage: Stage, tenant_id: str) -> None:
    """Writes how PostgreSQL finds a page among the deleted, as the serving role and under its row security."""
    page = users._list((), "exclude")
    app: Any = await asyncpg.connect(stage.settings.database_url)
    await app.execute(f"SELECT set_config('app.tenant_id', '{tenant_id}', false)")
    values = {"before": UUID(int=2**128 - 1), "most": _PAGE + 1}
    lines = await app.fetch(f"EXPLAIN (ANALYZE, BUFFERS, COSTS off) {page.sql}", *page.arguments(values))
    await app.close()
    PLAN.parent.mkdir(exist_ok=True)
    PLAN.write_text("\n".join(line[0] for line in lines) + "\n")


async def _pages(channel: grpc.aio.Channel, metadata: Any) -> tuple[float, float]:
    """What one of the first pages takes, and one of the last, in ms at the median."""
    people: Any = identity_service_pb2_grpc.IdentityServiceStub(channel)
    first: list[float] = []
    last: list[float] = []
    for _ in range(_ROUNDS):
        took, token, seen = [], "", 0
        while True:
            request = user_pb2.ListUsersRequest(page_size=_PAGE, page_token=token)
            began = perf_counter()
            reply = await people.ListUsers(request, metadata=metadata)
            took.append((perf_counter() - began) * 1000)
            seen += len(reply.users)
            token = reply.next_page_token
            if not token:
                break
        if seen != LIVE + 1:
            raise AssertionError(f"{seen} users are listed")
        first += took[:_ENDS]
        last += took[-_ENDS - 1 : -1]  # the last one is not full
    return statistics.median(first), statistics.median(last)
