"""The records of searches: what is on them, who reads them, and how long they stay."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import grpc
import pytest

from atrium.identity.v1 import user_pb2
from atrium.knowledge.v1 import search_pb2 as pb
from server.db.database import Database
from server.db.partitions import ensure_months
from server.kernel.clock import now
from server.kernel.ids import uuid7_floor
from server.knowledge.tables import rag_query_logs
from server.tenant.standing import TenantStanding
from server.work import retentions
from tests.databases import Scratch
from tests.factories.api_keys import make_key, with_key
from tests.factories.knowledge import make_base
from tests.factories.searches import HYBRID, TEXT, VECTOR, answered, configure, indexed, query, query_logs, search
from tests.factories.world import Person, World, refused

Code = grpc.StatusCode
LOGS = "query_logs:read"


async def test_a_search_is_on_record_as_it_was_asked_and_what_it_found(world: World) -> None:
    owner = await world.tenant()
    base_id, other = await make_base(world, owner), await make_base(world, owner, "another")
    await indexed(world, owner, base_id, "Sweet water", "Salt water", "Flour")
    trace = "ab" * 16
    metadata = (*owner.metadata, ("traceparent", f"00-{trace}-{'cd' * 8}-01"), ("x-request-id", "my-request"))
    given = {"mode": TEXT, "top_k": 7, "score_threshold": 0.01, "session_id": "a conversation"}
    before = datetime.now(UTC) - timedelta(seconds=5)

    reply = await search(world, metadata, [base_id, other], "Which water?", **given)

    (log,) = await query_logs(world, owner)
    assert (log.id, log.user_id, log.api_key_id) == (reply.query_log_id, owner.id, "")
    assert (list(log.knowledge_base_ids), log.query) == ([base_id, other], "Which water?")
    assert {name: getattr(log, name) for name in given} == given
    assert (log.retrieved_count, log.trace_id, log.request_id) == (2, trace, "my-request")
    assert log.average_score == pytest.approx(sum(one.score for one in reply.results) / 2, abs=1e-5)
    assert log.HasField("latency")
    assert 0 <= log.latency.ToMilliseconds() < 20_000
    assert before < log.create_time.ToDatetime(UTC) < datetime.now(UTC) + timedelta(seconds=5)


async def test_what_a_search_left_open_is_on_record_as_it_was_taken(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    await configure(world, owner, vector_search_top_k=3, vector_search_threshold=0.9)

    await search(world, owner, base_id, "water")

    (log,) = await query_logs(world, owner)
    assert (log.mode, log.top_k, log.score_threshold, log.session_id) == (HYBRID, 3, 0.9, "")
    assert (log.retrieved_count, log.HasField("average_score")) == (0, False)
    await configure(world, owner, update_mask={"paths": ["vector_search_threshold"]})
    await search(world, owner, base_id, "water")
    assert not (await query_logs(world, owner))[0].HasField("score_threshold")


async def test_a_search_with_a_key_is_on_its_record(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    key = await make_key(world, owner, "knowledge_bases:read")

    await search(world, with_key(key.secret), base_id, "water", mode=TEXT)

    (log,) = await query_logs(world, owner)
    assert (log.user_id, log.api_key_id) == (owner.id, key.api_key.id)


async def test_a_question_to_a_model_is_on_record_once_as_a_search(library: World) -> None:
    owner = await library.tenant()
    base_id = await make_base(library, owner)

    events = await answered(library, owner, base_id, "Which water?", model="stub-fast-3", search={"session_id": "s"})

    (log,) = await query_logs(library, owner)
    assert (events[0].sources.query_log_id, log.query, log.session_id) == (log.id, "Which water?", "s")


async def test_a_search_that_was_refused_is_on_no_record(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    base_id = await make_base(world, owner)

    await refused(search(world, other, base_id, "water"))

    assert await query_logs(world, owner) == await query_logs(world, other) == []


async def test_records_come_newest_first_in_pages_and_by_user_trace_and_time(world: World) -> None:
    owner = await world.tenant()
    reader = await world.user(owner)
    base_id = await make_base(world, owner)
    trace = (("traceparent", f"00-{'ef' * 16}-{'cd' * 8}-01"),)
    who = [owner.metadata, reader.metadata, (*reader.metadata, *trace), owner.metadata, (*owner.metadata, *trace)]
    for number, metadata in enumerate(who):
        await search(world, metadata, base_id, f"number {number}", mode=TEXT)

    async def asked(**fields: Any) -> list[str]:
        return [log.query[-1] for log in await query_logs(world, owner, **fields)]

    pages, token = [], ""
    while not pages or token:
        request = pb.ListQueryLogsRequest(page_size=2, page_token=token)
        page = await world.knowledge.ListQueryLogs(request, metadata=owner.metadata)
        pages.append([log.query[-1] for log in page.query_logs])
        token = page.next_page_token
    third = (await query_logs(world, owner))[2].create_time

    assert pages == [["4", "3"], ["2", "1"], ["0"]]
    assert await asked(user_id=reader.id) == ["2", "1"]
    assert await asked(trace_id="ef" * 16) == ["4", "2"]
    assert await asked(trace_id="ef" * 16, user_id=owner.id) == ["4"]
    assert await asked(trace_id="00" * 15 + "01") == []
    assert set(await asked(create_time_from=third)) >= {"4", "3"}
    assert set(await asked(create_time_until=third)) >= {"0"}
    assert set(await asked(create_time_from=third)).isdisjoint(await asked(create_time_until=third))
    assert await asked(create_time_from={"seconds": 4102444800}) == []


async def test_a_page_token_is_of_its_own_list(world: World) -> None:
    owner = await world.tenant()
    base_id = await make_base(world, owner)
    for _ in range(2):
        await search(world, owner, base_id, "water", mode=TEXT)
    request = pb.ListQueryLogsRequest(page_size=1)
    token = (await world.knowledge.ListQueryLogs(request, metadata=owner.metadata)).next_page_token

    refusal = await refused(query_logs(world, owner, page_size=1, page_token=token, user_id=owner.id))

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_only_who_may_read_the_records_does_and_those_of_the_own_tenant(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    viewer, auditor = await world.user(owner, "knowledge_bases:manage"), await world.user(owner, LOGS)
    base_id = await make_base(world, owner)
    await search(world, viewer, base_id, "water", mode=TEXT)

    refusal = await refused(query_logs(world, viewer))

    assert (refusal.code, refusal.reason) == (Code.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert [log.user_id for log in await query_logs(world, auditor)] == [viewer.id]
    assert await query_logs(world, other) == []
    assert await query_logs(world, other, user_id=viewer.id) == []


async def test_of_queries_that_are_not_kept_a_hash_is_that_nobody_can_guess_or_compare(world: World) -> None:
    owner, other = await world.tenant(), await world.tenant()
    for person in (owner, other):
        await configure(world, person, store_queries=False)
    base_id, theirs = await make_base(world, owner), await make_base(world, other)

    for text in ("water", "water", "Water"):
        await search(world, owner, base_id, text, mode=TEXT)
    await search(world, other, theirs, "water", mode=TEXT)

    capital, again, first = [log.query for log in await query_logs(world, owner)]
    (others,) = [log.query for log in await query_logs(world, other)]
    assert first == again
    assert len({first, capital, others}) == 3
    for kept in (first, capital, others):
        kind, _, digest = kept.partition(":")
        assert (kind, len(bytes.fromhex(digest))) == ("hmac-sha256", 32)
    assert hashlib.sha256(b"water").hexdigest() not in first


async def test_of_queries_that_are_not_kept_nothing_is_in_the_database(library: World, admin: Any) -> None:
    owner = await library.tenant()
    await configure(library, owner, store_queries=False)
    base_id = await make_base(library, owner)

    await search(library, owner, base_id, "A very secret question", mode=VECTOR)
    await answered(library, owner, base_id, "A very secret question", model="stub-fast-3")

    tables = await admin.fetch(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    for (table,) in tables:
        rows = await admin.fetch(f'SELECT to_jsonb(t)::text FROM "{table}" t')
        assert not [row for row in rows if "secret question" in row[0]], table


_LOG = (
    "INSERT INTO rag_query_logs (tenant_id, id, created_at, user_id, knowledge_base_ids, query_text, mode, top_k, "
    "retrieved_count) VALUES ($1, $2, $3, $4, '{}', $5, 'text', 10, 0)"
)


async def test_each_tenant_keeps_its_records_as_long_as_it_has_set(
    world: World, database: Database, scratch: Scratch, admin: Any
) -> None:
    await ensure_months(scratch.admin_url, now().date() - timedelta(days=330), now().date())
    short, usual = await world.tenant(), await world.tenant()
    await configure(world, short, query_log_retention_days=30)
    for person in (short, usual):
        for age in (300, 80, 20):
            moment = now() - timedelta(days=age)
            at = (UUID(person.tenant_id), uuid7_floor(moment), moment, UUID(person.id), f"{age} days ago")
            await admin.execute(_LOG, *at)

    standing = TenantStanding(database)
    (removing,) = [each for each in retentions(scratch.settings(), standing) if each.table is rag_query_logs]
    await removing(tenant.id async for tenant, _ in standing.everyone())

    assert [log.query for log in await query_logs(world, short)] == ["20 days ago"]
    assert [log.query for log in await query_logs(world, usual)] == ["20 days ago", "80 days ago"]


async def test_the_records_of_somebody_who_is_removed_for_good_go_with_them(world: World) -> None:
    owner, platform = await world.tenant(), await world.platform()
    person = await world.user(owner)
    base_id = await make_base(world, owner)
    key = await make_key(world, owner, "knowledge_bases:read")
    for caller in (person.metadata, owner.metadata, with_key(key.secret)):
        request = pb.SearchRequest(query=query(base_id, "water", mode=TEXT))
        await world.knowledge.Search(request, metadata=caller)
    await world.identity.DeleteUser(user_pb2.DeleteUserRequest(id=person.id), metadata=owner.metadata)
    deleted = await _askers(world, owner)
    inside = (*platform.metadata, ("x-tenant-id", owner.tenant_id))

    await world.identity.PurgeUser(user_pb2.PurgeUserRequest(id=person.id), metadata=inside)

    assert deleted == [owner.id, owner.id, person.id]
    assert await _askers(world, owner) == [owner.id, owner.id]


async def _askers(world: World, person: Person) -> list[str]:
    return [log.user_id for log in await query_logs(world, person)]
