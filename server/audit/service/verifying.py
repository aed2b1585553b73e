"""Verifying the audit log: whether what was sealed is as it was then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest

import structlog

from server.audit.domain import Checkpoint, CheckpointRef, Finding, FindingKind, Verification
from server.audit.ports import Signer
from server.audit.service.log import AuditLog
from server.audit.service.sealing import BEGINNING
from server.audit.store import checkpoints
from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.ids import uuid7_moment
from server.kernel.paging import PageRequest
from server.kernel.principal import current_call

MOST_CHECKPOINTS = 100
"""Checkpoints that one call looks at, with all of their entries."""

_MOST_TOLD = 20
"""Findings that the entry about them names."""

_log = structlog.get_logger("atrium.audit")

Verifiers = Mapping[str, Callable[[bytes, bytes], bool]]


class AuditVerifier:
    """Looks at the log of the caller's tenant."""

    def __init__(self, database: Database, signer: Signer, audit: AuditLog) -> None:
        self._database = database
        self._signer = signer
        self._audit = audit

    async def verify(
        self, request: PageRequest, since: datetime | None, until: datetime | None, known: CheckpointRef | None
    ) -> Verification:
        """Looks at a page of checkpoints, newest first, and at all that they seal. `known`: one that was told of
        before, and must be there. What is found is told in the server's log, and in the tenant's.
        """
        request = replace(request, size=min(request.size, MOST_CHECKPOINTS))
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            chain = await checkpoints.page(tx, request, since, until)
            page, follows = chain[: request.size], len(chain) > request.size
            # What the oldest of them follows is looked at for the link between the two alone.
            if page and not follows and (before := await checkpoints.before(tx, page[-1].seal.from_position)):
                chain.append(before)
        verifiers = await self._signer.verifiers({each.signing_kid for each in page})
        async with self._database.tenant_tx(tenant_id) as tx:
            last, oldest = await checkpoints.last(tx), await checkpoints.oldest(tx)
            findings, rows = [] if known is None else await _missing(tx, known, oldest), 0
            for one, before in zip_longest(page, chain[1:]):
                found = [each async for each in _look(tx, one, before, verifiers)]
                # It may have come to its end a moment ago, and its entries with it.
                if found and await checkpoints.get(tx, one.seal.id) == one:
                    findings += found
                elif not found and not _is_over(one, before):
                    rows += one.seal.row_count
            if findings:
                await self._tell(tx, findings)
        return Verification(
            checkpoints=len(page),
            rows=rows,
            findings=findings,
            last=None if last is None else CheckpointRef(last.seal.id, last.seal.hash()),
            sealed_until=None if last is None else uuid7_moment(last.seal.to_position),
            removed_until=uuid7_moment(oldest.seal.to_position) if oldest and oldest.removed_at else None,
            next_cursor=page[-1].seal.from_position if follows else None,
        )

    async def _tell(self, tx: Tx, findings: Sequence[Finding]) -> None:
        _log.error("the audit log is not as it was sealed", tenant_id=tx.tenant_id, findings=len(findings))
        named = [{"kind": each.kind, "checkpoint_id": str(each.checkpoint_id)} for each in findings[:_MOST_TOLD]]
        details = {"count": len(findings), "findings": named}
        await self._audit.record(tx, Change("audit_logs.verify", "audit_log", status="failure", details=details))


async def _missing(tx: Tx, known: CheckpointRef, oldest: Checkpoint | None) -> list[Finding]:
    """That the known one is not there, or another by its id; but for one from before what is kept."""
    found = await checkpoints.get(tx, known.id)
    if found is not None and found.seal.hash() == known.hash:
        return []
    if found is None and oldest is not None and oldest.removed_at is not None and known.id < oldest.seal.id:
        return []
    return [Finding("checkpoint_missing", known.id)]


async def _look(tx: Tx, one: Checkpoint, before: Checkpoint | None, verifiers: Verifiers) -> AsyncIterator[Finding]:
    """What of the checkpoint is not as it was, given the one before it that is there."""
    is_by = verifiers.get(one.signing_kid)
    if is_by is None or not is_by(one.signature, one.seal.statement()):
        yield _finding("checkpoint_forged", one)
    # The oldest that is there is the first one, unless those before it are over.
    if one.seal.previous_hash != (None if before is None else before.seal.hash()) and not _is_over(one, before):
        yield _finding("checkpoint_missing", one)
    if not _is_over(one, before):
        after = BEGINNING if before is None else before.seal.to_position
        now = await checkpoints.stretch(tx, after, one.seal.to_position, one.seal.row_count + 1)
        sealed = checkpoints.Stretch(
            one.seal.from_position, one.seal.to_position, one.seal.row_count, one.seal.root_hash
        )
        if now != sealed:
            yield _finding("entries_altered", one, 0 if now is None else now.row_count)


def _is_over(one: Checkpoint, before: Checkpoint | None) -> bool:
    """Whether its entries are no longer kept: of those that are there that is so of the oldest alone."""
    return one.removed_at is not None and before is None


def _finding(kind: FindingKind, one: Checkpoint, found: int | None = None) -> Finding:
    count = one.seal.row_count
    since, until = uuid7_moment(one.seal.from_position), uuid7_moment(one.seal.to_position)
    return Finding(kind, one.seal.id, since, until, count, count if found is None else found)
