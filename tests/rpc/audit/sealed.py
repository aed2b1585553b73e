"""What tests of the sealed log have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from atrium.audit.v1 import audit_log_pb2, verify_pb2
from server.audit.service.sealing import Sealing
from tests.factories.world import Person, World

Seal = Callable[[Person], Awaitable[int]]

ALTERED, FORGED, MISSING = (
    verify_pb2.Finding.KIND_ENTRIES_ALTERED,
    verify_pb2.Finding.KIND_CHECKPOINT_FORGED,
    verify_pb2.Finding.KIND_CHECKPOINT_MISSING,
)


async def sealed(sealing: Sealing, person: Person) -> int:
    """Seals the person's tenant's log; how many entries that were."""
    before = await sealing.horizon()
    assert before is not None
    return await sealing(UUID(person.tenant_id), before)


async def verify(world: World, person: Person, **fields: Any) -> verify_pb2.VerifyAuditLogsResponse:
    request = verify_pb2.VerifyAuditLogsRequest(**fields)
    return await world.audit.VerifyAuditLogs(request, metadata=person.metadata)


async def kinds(world: World, person: Person, **fields: Any) -> list[int]:
    """Of what is found, what it is."""
    return [finding.kind for finding in (await verify(world, person, **fields)).findings]


async def newest(world: World, person: Person) -> list[audit_log_pb2.AuditLog]:
    """The newest fifty entries."""
    request = audit_log_pb2.ListAuditLogsRequest()
    return list((await world.audit.ListAuditLogs(request, metadata=person.metadata)).audit_logs)
