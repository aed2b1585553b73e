"""What a tenant takes with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from atrium.tenant.v1 import export_pb2
from server.db.lines import PART_BYTES
from server.kernel.permissions import Permission
from server.tenant.export import LEFT_OUT
from tests.factories.knowledge import ingest, make_base, processed
from tests.factories.world import Person, World, refused
from tests.migration.rows import fill_tenant

NEVER_TOLD = {
    *("password_hash", "refresh_hash", "previous_hash", "secret_hash", "token_hash"),
    *("ciphertext", "nonce", "wrapped_key", "login_attempts", "locked_until", "embedding"),
    *("failures", "blocked_until"),
}
"""What no message of the API holds, as its conventions have it."""


_ALL = export_pb2.ExportTenantRequest()


async def _export(world: World, metadata: Any, **fields: Any) -> tuple[list[dict[str, Any]], Any]:
    lines: list[dict[str, Any]] = []
    ended, seqs = None, []
    async for part in world.tenants.ExportTenant(export_pb2.ExportTenantRequest(**fields), metadata=metadata):
        seqs.append(part.seq)
        if part.HasField("ended"):
            ended = part.ended
        else:
            lines += [json.loads(line) for line in part.lines.splitlines()]
    assert seqs == list(range(1, len(seqs) + 1))
    return lines, ended


async def test_an_export_is_all_that_is_the_tenants_and_nothing_else(world: World, admin: Any) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    for who in (administrator, other):
        tables = await fill_tenant(admin, who.tenant_id)

    lines, ended = await _export(world, administrator.metadata)

    assert ended.rows == len(lines)
    tenants = {line["row"]["id" if line["table"] == "tenants" else "tenant_id"] for line in lines}
    assert tenants == {administrator.tenant_id}
    exported = [line["table"] for line in lines]
    for table in tables - LEFT_OUT:
        count = await admin.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", administrator.tenant_id)
        assert exported.count(table) == count > 0, table
    assert set(exported) == {"tenants"} | tables - LEFT_OUT
    assert exported.count("tenants") == 1
    told = {(line["table"], name) for line in lines for name in line["row"]}
    assert {(table, name) for table, name in told if name in NEVER_TOLD} == {("audit_checkpoints", "previous_hash")}


async def test_an_export_has_the_texts_of_chunks_and_not_their_vectors(world: World) -> None:
    administrator = await world.tenant()
    made = await ingest(world, administrator, await make_base(world, administrator), "The moon pulls the sea.")
    await processed(world, administrator, made.id)

    lines, _ = await _export(world, administrator.metadata)

    (chunk,) = [line["row"] for line in lines if line["table"] == "knowledge_chunks"]
    assert (chunk["content"], chunk["document_id"]) == ("The moon pulls the sea.", made.id)
    assert not {"embedding", "vector"} & {name for line in lines for name in line["row"]}


async def test_who_may_not_read_the_audit_log_exports_nothing(world: World) -> None:
    administrator = await world.tenant()
    manager = await world.user(administrator, "tenants:manage")
    auditor = await world.user(administrator, "tenants:manage", "audit_logs:read")

    refusal = await refused(world.tenants.ExportTenant(_ALL, metadata=manager.metadata))
    lines, _ = await _export(world, auditor.metadata)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")
    assert refusal.detail(error_details_pb2.ErrorInfo).metadata["permission"] == "audit_logs:read"
    assert "audit_logs" in {line["table"] for line in lines}


async def test_an_export_says_which_permissions_roles_give(world: World) -> None:
    administrator = await world.tenant()

    lines, _ = await _export(world, administrator.metadata)

    roles = {line["row"]["id"]: line["row"]["code"] for line in lines if line["table"] == "roles"}
    entries = [line["row"] for line in lines if line["table"] == "role_permissions"]
    given = {entry["permission"] for entry in entries if roles[entry["role_id"]] == "admin"}
    assert "users:manage" in given
    assert given <= set(Permission)


async def test_statements_are_written_once_for_all_exports(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    administrator = await world.tenant()
    first, _ = await _export(world, administrator.metadata)
    monkeypatch.delattr("server.db.lines.Statement")

    second, _ = await _export(world, administrator.metadata)

    assert len(second) > len(first) > 0


async def test_a_large_table_is_exported_whole(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute(
        "INSERT INTO users (tenant_id, username, email) SELECT $1, 'u' || n, 'u' || n || '@x.example' "
        "FROM generate_series(1, 1234) n",
        administrator.tenant_id,
    )

    lines, _ = await _export(world, administrator.metadata)

    names = [line["row"]["username"] for line in lines if line["table"] == "users"]
    assert sorted(names) == sorted(["admin", *(f"u{n}" for n in range(1, 1235))])


async def test_the_platform_exports_any_tenant(world: World) -> None:
    administrator, platform = await world.tenant(), await world.platform()

    lines, _ = await _export(world, platform.metadata, tenant_id=administrator.tenant_id)

    assert {line["row"]["tenant_id"] for line in lines if line["table"] == "users"} == {administrator.tenant_id}


async def _with_a_large_table(world: World, admin: Any, *sizes: int) -> tuple[Person, list[int]]:
    """A tenant that has versions of a prompt with contents of these sizes, which each tell which one it is."""
    administrator = await world.tenant()
    await fill_tenant(admin, administrator.tenant_id)
    await admin.execute(
        "INSERT INTO prompt_template_versions (tenant_id, template_id, version, content, content_hash) "
        "SELECT v.tenant_id, v.template_id, 'v2.' || n, to_jsonb(repeat('x', size)), 'hash' "
        "FROM prompt_template_versions v, unnest($2::int[]) WITH ORDINALITY AS wanted(size, n) WHERE v.tenant_id = $1",
        administrator.tenant_id,
        sizes,
    )
    return administrator, sorted([len("Hello"), *sizes])


def _sizes(text: bytes) -> list[int]:
    lines = [json.loads(line) for line in text.splitlines()]
    return sorted(len(line["row"]["content"]) for line in lines if line["table"] == "prompt_template_versions")


async def test_large_rows_come_in_parts_that_a_client_takes_by_default(world: World, admin: Any) -> None:
    administrator, sizes = await _with_a_large_table(world, admin, *(65_000 + n for n in range(70)), 5_000_000)

    parts = [part async for part in world.tenants.ExportTenant(_ALL, metadata=administrator.metadata)]

    assert max(len(part.lines) for part in parts) <= PART_BYTES
    assert _sizes(b"".join(part.lines for part in parts)) == sizes
    assert len(parts) < 100, "they are filled"


async def test_an_export_that_broke_goes_on_behind_any_cursor(world: World, admin: Any) -> None:
    administrator, _ = await _with_a_large_table(world, admin, 10, 600_000, 2_500_000, 600_000, 10)
    parts = [part async for part in world.tenants.ExportTenant(_ALL, metadata=administrator.metadata)]
    cursors = [place for place, part in enumerate(parts) if part.cursor]

    for place in cursors:
        request = export_pb2.ExportTenantRequest(after_cursor=parts[place].cursor)
        rest = [part async for part in world.tenants.ExportTenant(request, metadata=administrator.metadata)]

        whole = [*parts[: place + 1], *rest]
        assert [part.seq for part in whole] == list(range(1, len(whole) + 1))
        assert _lines(whole) == _lines(parts)
        assert whole[-1].ended.rows == len(b"".join(part.lines for part in whole).splitlines())
    assert len(parts) - len(cursors) == 3, "two within the long line, and the end, have none"


def _lines(parts: Sequence[Any]) -> list[bytes]:
    """But for those that tell of the exports themselves."""
    lines = b"".join(part.lines for part in parts).splitlines()
    return [line for line in lines if not line.startswith(b'{"table":"audit_logs"')]


async def test_a_cursor_is_its_own_exports_alone(world: World) -> None:
    administrator, other, platform = await world.tenant(), await world.tenant(), await world.platform()
    stream = world.tenants.ExportTenant(_ALL, metadata=administrator.metadata)
    cursor = (await stream.read()).cursor
    stream.cancel()

    for metadata, request in (
        (other.metadata, export_pb2.ExportTenantRequest(after_cursor=cursor)),
        (platform.metadata, export_pb2.ExportTenantRequest(after_cursor=cursor, tenant_id=administrator.tenant_id)),
        (administrator.metadata, export_pb2.ExportTenantRequest(after_cursor=cursor[:-4])),
        (administrator.metadata, export_pb2.ExportTenantRequest(after_cursor="?")),
    ):
        refusal = await refused(world.tenants.ExportTenant(request, metadata=metadata))

        assert (refusal.reason, refusal.fields) == ("PAGE_TOKEN_INVALID", ["after_cursor"])


async def test_numbers_are_exported_to_the_last_digit(world: World, admin: Any) -> None:
    administrator = await world.tenant()
    await admin.execute(
        "UPDATE tenant_configs SET monthly_cost_quota_usd = 123456789.123456789, "
        "monthly_token_quota = 9007199254740993, "
        """extra_config = '{"n": 123456789.123456789123}' WHERE tenant_id = $1""",
        administrator.tenant_id,
    )

    parts = [part.lines async for part in world.tenants.ExportTenant(_ALL, metadata=administrator.metadata)]

    (line,) = [line for line in b"".join(parts).splitlines() if b'"tenant_configs"' in line]
    row = json.loads(line, parse_float=str)["row"]
    assert (row["monthly_cost_quota_usd"], row["monthly_token_quota"]) == ("123456789.123456789", 9007199254740993)
    assert (row["temperature"], row["extra_config"]) == ("0.70", {"n": "123456789.123456789123"})
    assert row["vector_search_threshold"] is None
