"""The audit log, shown to who may read it: pages, filters, and what leaves the house as NDJSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import json_format
from grpc import StatusCode as Code

from atrium.audit.v1 import audit_log_pb2 as pb
from atrium.audit.v1 import ddl_log_pb2, export_pb2
from atrium.errors.v1 import error_reason_pb2
from atrium.identity.v1 import role_pb2, session_pb2, user_pb2
from atrium.tenant.v1 import tenant_config_pb2, tenant_pb2
from server.kernel.ids import uuid7, uuid7_floor
from tests.factories.api_keys import make_key
from tests.factories.world import Person, World, refused
from tests.rpc.methods import AUDIT, IDENTITY


async def _list(world: World, metadata: Any, **wanted: Any) -> list[pb.AuditLog]:
    """All of the pages."""
    found: list[pb.AuditLog] = []
    request = pb.ListAuditLogsRequest(filter=wanted, page_size=2)
    while True:
        page = await world.audit.ListAuditLogs(request, metadata=metadata)
        found += page.audit_logs
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def _export(world: World, metadata: Any, **fields: Any) -> tuple[list[pb.AuditLog], Any]:
    text, ended, seqs = b"", None, []
    async for part in world.audit.ExportAuditLogs(export_pb2.ExportAuditLogsRequest(**fields), metadata=metadata):
        seqs.append(part.seq)
        text += part.lines
        ended = part.ended if part.HasField("ended") else ended
    assert seqs == list(range(1, len(seqs) + 1))
    return [json_format.Parse(line, pb.AuditLog()) for line in text.splitlines()], ended


def _ids(count: int) -> list[UUID]:
    """One after the other. Those that the database gives within a millisecond have no order before PostgreSQL 18."""
    return [uuid7() for _ in range(count)]


async def test_a_change_is_shown_with_who_what_and_from_where(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator)
    named = (
        ("x-request-id", "my-request"),
        ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"),
    )
    change = user_pb2.UpdateUserRequest(id=person.id, full_name="Lin")
    await world.identity.UpdateUser(change, metadata=(*administrator.metadata, *named))

    (entry,) = await _list(world, administrator.metadata, action="users.update")
    one = await world.audit.GetAuditLog(pb.GetAuditLogRequest(id=entry.id), metadata=administrator.metadata)

    assert one.audit_log == entry
    assert (entry.user_id, entry.actor_kind, entry.acting_for) == (administrator.id, pb.AuditLog.ACTOR_KIND_USER, "")
    assert (entry.resource_type, entry.resource_id) == ("user", person.id)
    assert (entry.old_value["full_name"], entry.new_value["full_name"]) == (None, "Lin")
    assert not entry.HasField("details")
    assert (entry.request_id, entry.trace_id, entry.ip_address) == ("my-request", "ab" * 16, "127.0.0.1")
    assert entry.user_agent.startswith("grpc-python")
    assert entry.session_id
    assert (entry.status, entry.error_reason) == (pb.AuditLog.STATUS_SUCCESS, 0)
    assert abs(entry.create_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)


async def test_a_refusal_is_shown_with_its_reason_and_a_programs_call_with_its_key(world: World) -> None:
    administrator = await world.tenant()
    key = await make_key(world, administrator, "users:read")

    await refused(
        world.identity.CreateRole(role_pb2.CreateRoleRequest(name="r", code="r"), metadata=(("x-api-key", key.secret),))
    )

    (entry,) = await _list(world, administrator.metadata, status=pb.AuditLog.STATUS_FAILURE)
    assert (entry.action, entry.resource_type) == (f"{IDENTITY}CreateRole", "method")
    assert entry.error_reason == error_reason_pb2.ERROR_REASON_PERMISSION_MISSING
    assert (entry.actor_kind, entry.session_id) == (pb.AuditLog.ACTOR_KIND_API_KEY, "")
    assert dict(entry.details) == {"permission": "roles:manage", "api_key_id": key.api_key.id}


async def test_what_a_later_version_of_the_server_wrote_down_is_shown(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, actor_kind, action, resource_type, status, error_message) "
        "VALUES ($1, 'user', 'things.do', 'thing', 'failure', 'OF_A_LATER_VERSION')",
        administrator.tenant_id,
    )

    (entry,) = await _list(world, administrator.metadata, resource_type="thing")

    assert (entry.status, entry.error_reason) == (pb.AuditLog.STATUS_FAILURE, 0)


async def test_the_newest_come_first_page_by_page(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    for each in (administrator, other, administrator):
        await world.role(each)

    entries = await _list(world, administrator.metadata)
    whole = await world.audit.ListAuditLogs(pb.ListAuditLogsRequest(), metadata=administrator.metadata)

    assert [entry.action for entry in entries[:4]] == ["roles.set_permissions", "roles.create"] * 2
    assert [entry.id for entry in entries] == sorted({entry.id for entry in entries}, reverse=True)
    assert list(whole.audit_logs) == entries
    theirs = {entry.id for entry in await _list(world, other.metadata)}
    assert theirs.isdisjoint(entry.id for entry in entries)


async def test_each_filter_finds_what_it_says_and_several_what_they_say_together(world: World) -> None:
    administrator = await world.tenant()
    person = await world.user(administrator, "users:manage", "audit_logs:read")
    for number in range(2):
        change = user_pb2.UpdateUserRequest(id=person.id, phone=str(number))
        await world.identity.UpdateUser(change, metadata=(*person.metadata, ("x-request-id", f"request-{number}")))
    await refused(
        world.tenants.UpdateTenantConfig(tenant_config_pb2.UpdateTenantConfigRequest(), metadata=person.metadata)
    )
    every = await _list(world, administrator.metadata)
    session_id = (
        (await world.identity.ListSessions(session_pb2.ListSessionsRequest(), metadata=person.metadata)).sessions[0].id
    )

    for wanted, holds in (
        ({"user_id": person.id}, lambda entry: entry.user_id == person.id),
        ({"action": "users.update"}, lambda entry: entry.action == "users.update"),
        ({"resource_type": "user"}, lambda entry: entry.resource_type == "user"),
        (
            {"resource_type": "user", "resource_id": person.id},
            lambda entry: (entry.resource_type, entry.resource_id) == ("user", person.id),
        ),
        ({"status": pb.AuditLog.STATUS_FAILURE}, lambda entry: entry.status == pb.AuditLog.STATUS_FAILURE),
        ({"request_id": "request-1"}, lambda entry: entry.request_id == "request-1"),
        ({"session_id": session_id}, lambda entry: entry.session_id == session_id),
        (
            {"action": "users.update", "request_id": "request-0"},
            lambda entry: (entry.action, entry.request_id) == ("users.update", "request-0"),
        ),
    ):
        expected = [entry for entry in every if holds(entry)]
        assert 0 < len(expected) < len(every), wanted
        assert await _list(world, administrator.metadata, **wanted) == expected, wanted
    assert await _list(world, administrator.metadata, action="users.update", status=2) == []


@pytest.mark.parametrize(
    ("network", "found"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("192.0.2.0/24", ["192.0.2.9", "192.0.2.7"]),
        ("192.0.2.77/24", ["192.0.2.9", "192.0.2.7"]),
        ("2001:db8::/32", ["2001:db8::1"]),
        ("0.0.0.0/0", ["198.51.100.1", "192.0.2.9", "192.0.2.7"]),
        ("203.0.113.0/24", []),
    ],
)
async def test_a_network_is_searched_for(world: World, admin: Any, network: str, found: list[str]) -> None:
    administrator = await world.tenant()
    addresses = ["192.0.2.7", "192.0.2.9", "2001:db8::1", "198.51.100.1"]
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, ip_address) "
        "SELECT $1, id, 'user', 'things.do', 'thing', address::inet "
        "FROM unnest($2::uuid[], $3::text[]) _ (id, address)",
        administrator.tenant_id,
        _ids(len(addresses)),
        addresses,
    )

    entries = await _list(world, administrator.metadata, action="things.do", ip_network=network)

    assert [entry.ip_address for entry in entries] == found


async def test_a_stretch_of_time_holds_its_first_moment_and_not_its_last(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    moments = [datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours) for hours in (1, 2, 3)]
    for moment in moments:
        await admin.execute(
            "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, created_at) VALUES ($1, "
            "$2, 'user', 'things.do', 'thing', $3)",
            administrator.tenant_id,
            uuid7_floor(moment),
            moment,
        )

    entries = await _list(
        world, administrator.metadata, create_time_from=moments[0], create_time_until=moments[2], action="things.do"
    )

    assert [entry.create_time.ToDatetime(UTC) for entry in entries] == [moments[1], moments[0]]


async def test_pages_of_large_entries_are_short_and_miss_none(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, new_value) "
        "SELECT $1, id, 'user', 'things.do', 'thing', jsonb_build_object('n', n, 'text', repeat('x', 400000)) "
        "FROM unnest($2::uuid[]) WITH ORDINALITY _ (id, n)",
        administrator.tenant_id,
        _ids(9),
    )
    request = pb.ListAuditLogsRequest(filter={"action": "things.do"}, page_size=1000)

    numbers, sizes = [], []
    while True:
        page = await world.audit.ListAuditLogs(request, metadata=administrator.metadata)
        numbers += [entry.new_value["n"] for entry in page.audit_logs]
        sizes.append(page.ByteSize())
        if not (token := page.next_page_token):
            break
        request.page_token = token

    assert numbers == list(range(9, 0, -1))
    assert len(sizes) > 2
    assert max(sizes) < 4 << 20, "what a client takes by default"


async def test_actions_are_those_that_the_log_tells_of(world: World) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    await world.role(other)
    await world.user(administrator)

    reply = await world.audit.ListActions(pb.ListActionsRequest(), metadata=administrator.metadata)

    told = {entry.action for entry in await _list(world, administrator.metadata)}
    assert list(reply.actions) == sorted(told)
    assert {"users.create", "sessions.login"} <= told
    assert "roles.create" not in told


async def test_the_platform_reads_a_tenants_log_from_within_and_is_in_it(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    inside = (*platform.metadata, ("x-tenant-id", administrator.tenant_id))

    seen = await _list(world, inside, user_id=administrator.id)
    (entry,) = await _list(world, administrator.metadata, user_id=platform.id, action=f"{AUDIT}ListAuditLogs")

    assert seen == await _list(world, administrator.metadata, user_id=administrator.id)
    assert entry.acting_for == administrator.tenant_id


async def test_an_export_is_the_log_as_the_api_has_it_oldest_first(world: World) -> None:
    administrator, _ = await world.tenant(), await world.tenant()
    await world.user(administrator)
    nobody = await world.nobody(administrator)
    await refused(world.identity.ListUsers(user_pb2.ListUsersRequest(), metadata=nobody.metadata))

    exported, ended = await _export(world, administrator.metadata)

    entries = await _list(world, administrator.metadata)
    assert entries[0].action == "audit_logs.export"
    assert exported == entries[::-1]
    assert ended.rows == len(exported)
    assert pb.AuditLog.STATUS_FAILURE in {entry.status for entry in exported}


async def test_an_export_holds_what_its_filter_says_and_is_told_with_it(world: World) -> None:
    administrator = await world.tenant()
    await world.user(administrator)
    since = datetime.now(UTC) - timedelta(days=1)
    wanted = {"resource_type": "user", "ip_network": "127.0.0.0/8", "create_time_from": since}

    exported, _ = await _export(world, administrator.metadata, filter=wanted)

    assert exported == (await _list(world, administrator.metadata, **wanted))[::-1]
    assert {entry.resource_type for entry in exported} == {"user"}
    (told,) = await _list(world, administrator.metadata, action="audit_logs.export")
    assert dict(told.details) == {"resource_type": "user", "ip_network": "127.0.0.0/8", "since": str(since)}


async def _with_large_entries(world: World, admin: Any) -> Person:
    administrator = await world.tenant()
    await admin.execute(
        "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type, new_value) "
        "SELECT $1, id, 'user', 'things.do', 'thing', jsonb_build_object('n', n, 'text', repeat('x', 300000)) "
        "FROM unnest($2::uuid[]) WITH ORDINALITY _ (id, n)",
        administrator.tenant_id,
        _ids(12),
    )
    return administrator


async def test_an_export_that_broke_goes_on_behind_any_cursor(world: World, admin: Any) -> None:
    administrator = await _with_large_entries(world, admin)
    wanted = {"action": "things.do"}
    request = export_pb2.ExportAuditLogsRequest(filter=wanted)
    parts = [part async for part in world.audit.ExportAuditLogs(request, metadata=administrator.metadata)]
    assert len(parts) > 3

    for place, broken in enumerate(parts[:-1]):
        again = export_pb2.ExportAuditLogsRequest(filter=wanted, after_cursor=broken.cursor)
        rest = [part async for part in world.audit.ExportAuditLogs(again, metadata=administrator.metadata)]
        assert [part.seq for part in rest] == [part.seq for part in parts[place + 1 :]]
        numbers = [
            json.loads(line)["new_value"]["n"]
            for line in b"".join(part.lines for part in (*parts[: place + 1], *rest)).splitlines()
        ]
        assert numbers == list(range(1, 13))
        assert rest[-1].ended.rows == 12


async def test_a_cursor_is_good_for_its_own_export_alone(world: World, admin: Any) -> None:
    administrator, other = await _with_large_entries(world, admin), await world.tenant()
    request = export_pb2.ExportAuditLogsRequest()
    stream = world.audit.ExportAuditLogs(request, metadata=administrator.metadata)
    cursor = (await stream.read()).cursor
    stream.cancel()

    for metadata, fields in (
        (other.metadata, {}),
        (administrator.metadata, {"filter": {"action": "users.create"}}),
    ):
        again = export_pb2.ExportAuditLogsRequest(after_cursor=cursor, **fields)
        refusal = await refused(world.audit.ExportAuditLogs(again, metadata=metadata).read())
        assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


@pytest.mark.parametrize("tier", [tenant_pb2.Tenant.TIER_FREE, tenant_pb2.Tenant.TIER_PRO])
async def test_an_export_is_what_the_highest_tier_pays_for_and_reading_is_everybodys(world: World, tier: int) -> None:
    administrator = await world.tenant(tier)

    call = world.audit.ExportAuditLogs(export_pb2.ExportAuditLogsRequest(), metadata=administrator.metadata)
    refusal = await refused(call.read())
    entries = await _list(world, administrator.metadata, action="sessions.login")

    assert (refusal.code, refusal.reason) == (Code.FAILED_PRECONDITION, "FEATURE_MISSING")
    assert len(entries) == 1


async def test_changes_to_the_schema_are_shown_to_super_administrators(world: World, admin: Any) -> None:
    administrator, platform = await world.tenant(), await world.platform()
    await admin.execute(
        'INSERT INTO ddl_audit_logs (command_tag, object_identity, "session_user", application_name) '
        "SELECT 'ALTER TABLE', 'public.t' || n, 'somebody', 'psql' FROM generate_series(1, 3) n"
    )
    await admin.execute("UPDATE ddl_audit_logs SET command = repeat('x', 9999) WHERE object_identity = 'public.t1'")

    found, request = [], ddl_log_pb2.ListDdlLogsRequest(page_size=2)
    while True:
        page = await world.audit.ListDdlLogs(request, metadata=platform.metadata)
        found += page.ddl_logs
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    refusal = await refused(world.audit.ListDdlLogs(ddl_log_pb2.ListDdlLogsRequest(), metadata=administrator.metadata))

    assert {change.object_identity for change in found} >= {"public.t1", "public.t2", "public.t3"}
    assert [change.id for change in found] == sorted({change.id for change in found}, reverse=True)
    (one,) = [change for change in found if change.object_identity == "public.t1"]
    assert (one.command_tag, one.session_user, one.application_name) == ("ALTER TABLE", "somebody", "psql")
    assert one.command == "x" * 2000
    assert refusal.code == Code.PERMISSION_DENIED
