"""Usage: a whole month of a tenant's calls, summed up by each of what it may be asked by."""

from __future__ import annotations

import asyncio
import os
import statistics
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from uuid import UUID

import asyncpg
import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from atrium.model.v1 import model_service_pb2_grpc
from atrium.model.v1 import usage_pb2 as pb
from bench.figures import Figure
from bench.stage import Stage, found, staged
from server.db.partitions import bounds, month_after, partition_name

CALLS = 10_000_000 if os.environ.get("SCALE") == "full" else 200_000
MODELS, USERS, KEYS, PROMPTS = 5, 500, 100, 50
"""Each call is of one of them at random, so that in the end every day has every combination."""

OTHERS = 4
"""Tenants beside it with as many sums: the database is not one tenant's."""

_BATCH = 500_000
_ROUNDS = 100

# Without the triggers of foreign keys, and without waiting for the disk: it is thrown away in the end.
_QUICKLY = """
SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB';
SET maintenance_work_mem = '1GB'
"""

_CALLS = """
WITH call AS MATERIALIZED (
    SELECT n, $2::timestamptz + ($3::timestamptz - $2::timestamptz) * (n::float8 / $6) AS moment,
        (random() * 1000)::int AS read, (random() * 500)::int AS written, random() < 0.01 AS failed,
        (random() * 1e9)::int AS choice
    FROM generate_series($4::int, $5::int) AS n
)
INSERT INTO calls (
    tenant_id, id, user_id, api_key_id, model_id, prompt_template_version_id, request_kind, prompt_tokens,
    completion_tokens, cached_tokens, total_tokens, total_cost, latency_ms, time_to_first_token_ms, status,
    finish_reason, trace_id, request_id, created_at
)
SELECT $1::uuid, uuidv7(moment - clock_timestamp()), atrium_bench_id(2, choice % $8), atrium_bench_id(3, n % $9),
    atrium_bench_id(1, choice / 1000 % $7), atrium_bench_id(4, n / 7 % $10), 'chat', read, written, 0, read + written,
    (read + 2 * written) * 0.00001, 900, 200, CASE WHEN failed THEN 'error' ELSE 'success' END, 'stop',
    md5(n::text), md5(n::text), moment
FROM call
"""
# A month that is filled before it is attached: its indexes are made at once, and not row by row.
_MONTH = "CREATE UNLOGGED TABLE calls (LIKE model_call_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
_ATTACH = """
DROP TABLE {name};
ALTER TABLE model_call_logs ATTACH PARTITION calls FOR VALUES FROM ('{begin}') TO ('{end}')
"""
_ID = """
CREATE FUNCTION atrium_bench_id(kind int, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$SELECT (lpad(to_hex(kind), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid$$
"""
_ROLLUPS = """
INSERT INTO usage_rollups (
    tenant_id, grain, day, model_id, user_id, api_key_id, prompt_template_version_id, calls, prompt_tokens,
    completion_tokens, cached_tokens, reasoning_tokens, cost, errors
)
SELECT tenant_id, CASE grouping(user_id, api_key_id, prompt_template_version_id)
        WHEN 7 THEN 'model' WHEN 3 THEN 'user' WHEN 5 THEN 'api_key' ELSE 'prompt' END,
    (created_at AT TIME ZONE 'UTC')::date AS day, model_id, user_id, api_key_id, prompt_template_version_id, count(*),
    sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(reasoning_tokens), sum(total_cost),
    count(*) FILTER (WHERE status = 'error')
FROM calls
GROUP BY GROUPING SETS (
    (tenant_id, day, model_id), (tenant_id, day, model_id, user_id), (tenant_id, day, model_id, api_key_id),
    (tenant_id, day, model_id, prompt_template_version_id)
)
"""
_OTHER = """
WITH other AS (INSERT INTO tenants (name, slug) VALUES ('o', 'other' || $2::int) RETURNING id)
INSERT INTO usage_rollups (tenant_id, grain, day, model_id, user_id, api_key_id, prompt_template_version_id, calls)
SELECT other.id, grain, day, model_id, user_id, api_key_id, prompt_template_version_id, calls
FROM usage_rollups, other WHERE tenant_id = $1
"""

_BY = {
    "day": [pb.USAGE_DIMENSION_DAY],
    "model": [pb.USAGE_DIMENSION_MODEL],
    "user": [pb.USAGE_DIMENSION_USER],
    "key": [pb.USAGE_DIMENSION_API_KEY],
    "prompt version": [pb.USAGE_DIMENSION_PROMPT_VERSION],
}


def run() -> list[Figure]:
    """Half a minute; with SCALE=full, some, and some ten gigabytes of disk until it ends."""
    with staged() as stage:
        return asyncio.run(_measure(stage))


async def _measure(stage: Stage) -> list[Figure]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{stage.port}") as channel:
        _, platform = await stage.sign_in(channel)
        tenant_id, metadata = await found(channel, platform, "busy")
        today = datetime.now(UTC).date()
        first, last = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (today, month_after(today)))
        kept = await _fill(stage, UUID(tenant_id), first, last)
        figures = [Figure("calls in the month", float(CALLS), "rows"), Figure("their sums", float(kept), "rows")]
        stub: Any = model_service_pb2_grpc.ModelServiceStub(channel)
        medians = []
        for name, by in _BY.items():
            request = pb.GetModelUsageRequest(group_by=by, day_from=_stamp(first), day_until=_stamp(last))
            took = []
            for _ in range(_ROUNDS):
                began = perf_counter()
                reply = await stub.GetModelUsage(request, metadata=metadata)
                took.append((perf_counter() - began) * 1000)
                if sum(usage.calls for usage in reply.usage) != CALLS:
                    raise AssertionError(f"by {name}, not every call is counted")
            medians.append(statistics.median(took))
            figures += [
                Figure(f"GetModelUsage by {name}", medians[-1], "ms at the median"),
                Figure(f"GetModelUsage by {name}", statistics.quantiles(took, n=100)[98], "ms at the 99th percentile"),
            ]
        return [*figures, Figure("the slowest", max(medians), "ms at the median", 100.0, at_most=True)]


async def _fill(stage: Stage, tenant_id: UUID, first: datetime, last: datetime) -> int:
    """Writes the calls down, and their sums; how many of these there are."""
    admin: Any = await asyncpg.connect(stage.settings.admin_database_url)
    await admin.execute(_QUICKLY)
    await admin.execute(_ID)
    await admin.execute(_MONTH)
    numbers = (CALLS, MODELS, USERS, KEYS, PROMPTS)
    for start in range(0, CALLS, _BATCH):
        until = min(start + _BATCH, CALLS) - 1
        await admin.execute(_CALLS, tenant_id, first, last, start, until, *numbers)
    begin, end = bounds(first.date())
    name = partition_name("model_call_logs", first.date())
    await admin.execute(_ATTACH.format(name=name, begin=begin, end=end))
    await admin.execute(_ROLLUPS)
    kept: int = await admin.fetchval("SELECT count(*) FROM usage_rollups")
    for number in range(OTHERS):
        await admin.execute(_OTHER, tenant_id, number)
    await admin.execute("VACUUM ANALYZE usage_rollups")
    await admin.close()
    return kept


def _stamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
