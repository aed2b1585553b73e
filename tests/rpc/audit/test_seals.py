"""What is sealed of the audit log is verified: whatever is altered, taken away or slipped in is found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from grpc import StatusCode as Code
from structlog.testing import capture_logs

from atrium.audit.v1 import audit_log_pb2, verify_pb2
from server.audit.service.log import AuditLog
from server.audit.service.sealing import Sealing
from server.db.database import Database
from server.identity.service.signing import SigningKeys
from server.kernel.sealing import MasterKeys
from tests.databases import Scratch
from tests.factories.world import World, refused
from tests.rpc.audit.sealed import ALTERED, FORGED, MISSING, Seal, kinds, newest, sealed, verify

NOBODYS = "00000000-0000-7000-8000-000000000000"
_UNKNOWN = "'00000000-0000-7000-8000-000000000000'"
_AT_THE_END = "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
_LAST = "WITH last AS (SELECT * FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY from_position DESC LIMIT 1) "
_CHECKPOINT = "audit_checkpoints AS c"
_IT_IS_LAST = "WHERE tenant_id = $1 AND id = (SELECT id FROM last)"
_IT_IS = (
    "WHERE tenant_id = $1 AND id = (SELECT id FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY from_position "
    "LIMIT 1 OFFSET"
)
_ENTRY = "WHERE tenant_id = $1 AND id = (SELECT {position} FROM last)"
_CHANGES = (
    "action = 'nothing.happened'",
    "new_value = '{\"priority\": 7}'",
    f"user_id = {_UNKNOWN}",
    "resource_id = NULL",
    "ip_address = '192.0.2.1'",
    "created_at = created_at - interval '1 microsecond'",
    "status = 'failure'",
)
_SLIPPED_IN = (
    "INSERT INTO audit_logs (tenant_id, id, actor_kind, action, resource_type) SELECT $1, "
    "(left(from_position::text, 35) || CASE right(from_position::text, 1) WHEN '0' THEN '1' ELSE '0' END)::uuid, "
    "'system', 'nothing', 'nothing' FROM last"
)
ALTERATIONS = (
    *(f"UPDATE audit_logs SET {change} {_ENTRY.format(position='to_position')}" for change in _CHANGES),
    *(f"DELETE FROM audit_logs {_ENTRY.format(position=end)}" for end in ("from_position", "to_position")),
    _SLIPPED_IN,
)


async def test_what_is_sealed_is_as_it_was(world: World, seal: Seal) -> None:
    administrator = await world.tenant()
    before = await verify(world, administrator)
    await world.role(administrator)
    first = await seal(administrator)
    await world.role(administrator)
    second = await seal(administrator)

    found = await verify(world, administrator)

    assert before == verify_pb2.VerifyAuditLogsResponse()
    assert first > 0
    assert second == 2
    assert (list(found.findings), found.checkpoints, found.entries) == ([], 2, first + second)
    assert len(found.last_checkpoint.hash) == 32
    assert abs(found.sealed_until.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(minutes=5)
    assert not found.HasField("removed_until")
    assert await seal(administrator) == 0


@pytest.mark.parametrize("change", ALTERATIONS)
async def test_an_entry_that_is_altered_or_taken_away_or_slipped_in_is_found(
    world: World, seal: Seal, admin: Any, change: str
) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    for person in (administrator, administrator, administrator, other):
        await world.role(person)
        await seal(person)

    done = await admin.execute(_LAST + change, UUID(administrator.tenant_id))

    assert done.endswith(" 1")
    assert await kinds(world, administrator) == [ALTERED]
    assert await kinds(world, other) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (f"UPDATE {_CHECKPOINT} SET row_count = row_count + 1 {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET row_count = 9223372036854775807 {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET to_position = {_UNKNOWN} {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET to_position = {_AT_THE_END} {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET signing_kid = 'ours' {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET signature = '' {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET previous_hash = NULL {_IT_IS_LAST}", [FORGED]),
        (f"UPDATE {_CHECKPOINT} SET removed_at = now() {_IT_IS_LAST}", []),
        (f"DELETE FROM {_CHECKPOINT} {_IT_IS} 1)", [MISSING]),
        (f"DELETE FROM {_CHECKPOINT} {_IT_IS} 0)", [MISSING]),
    ],
)
async def test_a_checkpoint_that_is_altered_or_taken_away_is_found(
    world: World, seal: Seal, admin: Any, change: str, expected: list[int]
) -> None:
    administrator = await world.tenant()
    for _ in range(3):
        await world.role(administrator)
        await seal(administrator)

    done = await admin.execute(_LAST + change, UUID(administrator.tenant_id))

    assert done.endswith(" 1")
    assert sorted(await kinds(world, administrator)) == sorted(expected)


async def test_that_entries_are_no_longer_kept_is_believed_of_the_oldest_alone(
    world: World, seal: Seal, admin: Any
) -> None:
    administrator = await world.tenant()
    for _ in range(2):
        await world.role(administrator)
        await seal(administrator)

    await admin.execute(
        "UPDATE audit_checkpoints SET removed_at = now() WHERE tenant_id = $1", UUID(administrator.tenant_id)
    )
    await admin.execute("DELETE FROM audit_logs WHERE tenant_id = $1", UUID(administrator.tenant_id))

    found = await verify(world, administrator)
    assert [finding.kind for finding in found.findings] == [ALTERED]
    assert found.HasField("removed_until")


async def test_a_finding_says_which_stretch_it_is_and_is_told_in_the_log_and_to_the_operator(
    world: World, seal: Seal, admin: Any
) -> None:
    administrator = await world.tenant()
    await world.role(administrator)
    count = await seal(administrator)
    await admin.execute(
        _LAST + "DELETE FROM audit_logs " + _ENTRY.format(position="to_position"),
        UUID(administrator.tenant_id),
    )

    with capture_logs() as told:
        found = await verify(world, administrator)
    request = audit_log_pb2.ListAuditLogsRequest(filter={"action": "audit_logs.verify"})
    (entry,) = (await world.audit.ListAuditLogs(request, metadata=administrator.metadata)).audit_logs

    (finding,) = found.findings
    assert (finding.sealed_entries, finding.found_entries, found.entries) == (count, count - 1, 0)
    assert finding.checkpoint_id == found.last_checkpoint.id
    assert finding.create_time_from.ToDatetime() < finding.create_time_until.ToDatetime()
    assert entry.status == audit_log_pb2.AuditLog.STATUS_FAILURE
    assert entry.details["count"] == 1
    assert entry.details["findings"][0]["checkpoint_id"] == finding.checkpoint_id
    assert ("error", UUID(administrator.tenant_id)) in [(line["log_level"], line.get("tenant_id")) for line in told]


async def test_a_seal_that_somebody_makes_with_a_key_of_their_own_is_not_ours(
    world: World, seal: Seal, admin: Any, database: Database, scratch: Scratch
) -> None:
    """They write into the database, a signing key too, but have not the master key that ours are kept under."""
    administrator = await world.tenant()
    await world.role(administrator)
    settings = scratch.settings()
    theirs = SigningKeys(database, AuditLog(database), MasterKeys(b"k" * 32), settings.access_life)
    kept = await admin.fetch("DELETE FROM signing_keys RETURNING *")
    await sealed(Sealing(database, theirs, margin=timedelta(0)), administrator)
    await admin.executemany(
        "INSERT INTO signing_keys (kid, public_key, wrapped_private_key, not_before) VALUES ($1, $2, $3, $4)",
        [(row["kid"], row["public_key"], row["wrapped_private_key"], row["not_before"]) for row in kept],
    )

    assert await kinds(world, administrator) == [FORGED]


async def test_the_newest_checkpoints_are_missed_by_who_knows_of_them(world: World, seal: Seal, admin: Any) -> None:
    administrator = await world.tenant()
    for _ in range(2):
        await world.role(administrator)
        await seal(administrator)
    known = (await verify(world, administrator)).last_checkpoint
    there = await kinds(world, administrator, known_checkpoint=known)

    await admin.execute(
        _LAST + ", gone AS (DELETE FROM audit_logs a USING last WHERE a.tenant_id = $1 AND a.id >= from_position) "
        "DELETE FROM audit_checkpoints c USING last WHERE c.tenant_id = $1 AND c.id = last.id",
        UUID(administrator.tenant_id),
    )
    unknowing = await kinds(world, administrator)
    missed = await verify(world, administrator, known_checkpoint=known)

    assert there == []
    assert unknowing == []
    assert [(finding.kind, finding.checkpoint_id) for finding in missed.findings] == [(MISSING, known.id)]
    await world.role(administrator)
    await seal(administrator)
    another = verify_pb2.CheckpointRef(id=(await verify(world, administrator)).last_checkpoint.id, hash=b"h" * 32)
    assert await kinds(world, administrator, known_checkpoint=another) == [MISSING]


async def test_another_tenants_checkpoint_is_one_that_is_not_there(world: World, seal: Seal) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    for person in (administrator, other):
        await seal(person)
    theirs = (await verify(world, other)).last_checkpoint

    assert await kinds(world, administrator, known_checkpoint=theirs) == [MISSING]


async def test_pages_and_times_choose_what_is_looked_at(world: World, seal: Seal) -> None:
    administrator = await world.tenant()
    sealed = []
    for _ in range(5):
        await world.role(administrator)
        sealed.append(await seal(administrator))
    middle = (await verify(world, administrator, page_size=2)).sealed_until

    entries, counts, request = 0, [], verify_pb2.VerifyAuditLogsRequest(page_size=2)
    while True:
        page = await world.audit.VerifyAuditLogs(request, metadata=administrator.metadata)
        assert not page.findings
        entries, counts = entries + page.entries, [*counts, page.checkpoints]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token

    assert (entries, counts) == (sum(sealed), [2, 2, 1])
    assert (await verify(world, administrator, create_time_until=middle)).checkpoints >= 4
    newest = await verify(world, administrator, create_time_from=middle)
    assert (newest.checkpoints, list(newest.findings)) == (1, [])
    nothing = await verify(world, administrator, create_time_until={"seconds": 1})
    assert (nothing.checkpoints, nothing.entries, nothing.last_checkpoint) == (0, 0, newest.last_checkpoint)
    of_another = await refused(verify(world, administrator, page_token=request.page_token, create_time_from=middle))
    assert of_another.code == Code.INVALID_ARGUMENT


async def test_for_what_is_over_a_forged_checkpoint_is_no_word(world: World, seal: Seal, admin: Any) -> None:
    administrator = await world.tenant()
    for _ in range(2):
        await world.role(administrator)
        await seal(administrator)
    known, tenant_id = (await verify(world, administrator)).last_checkpoint, UUID(administrator.tenant_id)
    await admin.execute(
        _LAST + "DELETE FROM audit_checkpoints c USING last WHERE c.tenant_id = $1 AND c.id = last.id", tenant_id
    )
    await admin.execute(
        "UPDATE audit_checkpoints SET id = $2, removed_at = now() WHERE tenant_id = $1",
        *(tenant_id, UUID(int=(1 << 128) - 1)),
    )

    found = await verify(world, administrator, known_checkpoint=known, create_time_until={"seconds": 1})

    assert found.checkpoints == 0
    assert [finding.kind for finding in found.findings] == [FORGED, MISSING]
    assert not found.HasField("last_checkpoint")
    assert not found.HasField("removed_until")


async def test_that_a_known_checkpoint_is_missing_is_told_to_who_knows_of_it_alone(world: World, seal: Seal) -> None:
    administrator = await world.tenant()
    for _ in range(2):
        await world.role(administrator)
        await seal(administrator)
    before = len(await newest(world, administrator))

    request = verify_pb2.VerifyAuditLogsRequest(page_size=1, known_checkpoint={"id": NOBODYS, "hash": b"h" * 32})
    first = await world.audit.VerifyAuditLogs(request, metadata=administrator.metadata)
    request.page_token = first.next_page_token
    second = await world.audit.VerifyAuditLogs(request, metadata=administrator.metadata)

    assert [[finding.kind for finding in page.findings] for page in (first, second)] == [[MISSING], []]
    assert len(await newest(world, administrator)) == before


@pytest.mark.parametrize("permission", ["audit_logs:read", None])
async def test_who_reads_the_log_verifies_it_and_nobody_else(world: World, seal: Seal, permission: str | None) -> None:
    administrator, other = await world.tenant(), await world.tenant()
    await seal(administrator)
    person = await world.user(administrator, *([] if permission is None else [permission]))

    if permission is None:
        assert (await refused(verify(world, person))).code == Code.PERMISSION_DENIED
    else:
        assert (await verify(world, person)).checkpoints == 1
    assert (await verify(world, other)).checkpoints == 0
