"""Verifying the audit log: whether what was sealed is as it was then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

import structlog

from server.audit.domain import Checkpoint, CheckpointRef, Finding, FindingKind, Verification, Verifiers
from server.audit.ports import Signer
from server.audit.service.log import AuditLog
from server.audit.service.sealing import BEGINNING
from server.audit.store import checkpoints
from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.ids import uuid7_moment
from server.kernel.paging import PageRequest
from server.kernel.principal import current_call
from server.kernel.turns import Turns

MOST_CHECKPOINTS = 100
"""Checkpoints that one call looks at, with all of their entries."""

_MOST_TOLD = 20
"""Findings that the entry about them names."""

_AT_ONCE = 2
"""Stretches that a process looks at, of whichever tenants: each is some work for the database."""

_log = structlog.get_logger("atrium.audit")


class AuditVerifier:
    """Looks at the log of the caller's tenant."""

    def __init__(self, database: Database, signer: Signer, audit: AuditLog) -> None:
        self._database = database
        self._signer = signer
        self._audit = audit
        self._turns = Turns(_AT_ONCE)

    async def verify(
        self, request: PageRequest, since: datetime | None, until: datetime | None, known: CheckpointRef | None
    ) -> Verification:
        """Looks at a page of checkpoints, newest first, and at all that they seal. `known`: one that was told of
        before, and must be there. What is found is told in the server's log and in the tenant's, but for that it is
        missing: for that there is the caller's word alone.
        """
        request = replace(request, size=min(request.size, MOST_CHECKPOINTS))
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            chain = await checkpoints.page(tx, request, since, until)
            page, follows = chain[: request.size], len(chain) > request.size
            # What the oldest of them follows is looked at for the link between the two alone.
            if page and not follows and (before := await checkpoints.before(tx, page[-1].seal.from_position)):
                chain.append(before)
            last, oldest = await checkpoints.last(tx), await checkpoints.oldest(tx)
            kept = None if known is None else await checkpoints.get(tx, known.id)
        # What the answer says of the whole log it says by these two, whatever page was asked for.
        ends = [each for each in dict.fromkeys((last, oldest)) if each is not None]
        verifiers = await self._signer.verifiers({each.signing_kid for each in (*page, *ends)})
        findings, rows = [_finding("checkpoint_forged", each) for each in ends if not each.signed_by(verifiers)], 0
        for one, before in zip_longest(page, chain[1:]):
            async with self._turns.place(tenant_id), self._database.tenant_tx(tenant_id) as tx:
                found = [*_seen(one, before, verifiers)] or [*await _compared(tx, one, before)]
                # It may have come to its end a moment ago, and its entries with it.
                if found and await checkpoints.get(tx, one.seal.id) == one:
                    findings += [each for each in found if each not in findings]
                elif not found and not _is_over(one, before):
                    rows += one.seal.row_count
        if findings:
            await self._tell(tenant_id, findings)
        if known is not None and request.cursor is None and not _is_there(known, kept, oldest, verifiers):
            findings.append(Finding("checkpoint_missing", known.id))
        trusted = [each if each is not None and each.signed_by(verifiers) else None for each in (last, oldest)]
        cursor = page[-1].seal.from_position if follows else None
        return _verification(page, rows, findings, trusted[0], trusted[1], cursor)

    async def _tell(self, tenant_id: UUID, findings: Sequence[Finding]) -> None:
        _log.error("the audit log is not as it was sealed", tenant_id=tenant_id, findings=len(findings))
        named = [{"kind": each.kind, "checkpoint_id": str(each.checkpoint_id)} for each in findings[:_MOST_TOLD]]
        details = {"count": len(findings), "findings": named}
        async with self._database.tenant_tx(tenant_id) as tx:
            await self._audit.record(tx, Change("audit_logs.verify", "audit_log", status="failure", details=details))


def _verification(
    page: Sequence[Checkpoint],
    rows: int,
    findings: Sequence[Finding],
    last: Checkpoint | None,
    oldest: Checkpoint | None,
    next_cursor: UUID | None,
) -> Verification:
    return Verification(
        checkpoints=len(page),
        rows=rows,
        findings=findings,
        last=None if last is None else CheckpointRef(last.seal.id, last.seal.hash()),
        sealed_until=None if last is None else uuid7_moment(last.seal.to_position),
        removed_until=uuid7_moment(oldest.seal.to_position) if oldest and oldest.removed_at else None,
        next_cursor=next_cursor,
    )


def _is_there(known: CheckpointRef, kept: Checkpoint | None, oldest: Checkpoint | None, verifiers: Verifiers) -> bool:
    """Whether it is, as it was; or was before what is kept, for which there is the word of the oldest that is there."""
    if kept is not None:
        return kept.seal.hash() == known.hash
    if oldest is None or oldest.removed_at is None or not oldest.signed_by(verifiers):
        return False
    return known.id < oldest.seal.id


def _seen(one: Checkpoint, before: Checkpoint | None, verifiers: Verifiers) -> Iterator[Finding]:
    """What is wrong with the checkpoint itself, given the one before it that is there."""
    if not one.signed_by(verifiers):
        yield _finding("checkpoint_forged", one)
    # The oldest that is there is the first one, unless those before it are over.
    elif one.seal.previous_hash != (None if before is None else before.seal.hash()) and not _is_over(one, before):
        yield _finding("checkpoint_missing", one)


async def _compared(tx: Tx, one: Checkpoint, before: Checkpoint | None) -> list[Finding]:
    """Whether its entries are what it seals: of a checkpoint that is ours, and follows the one before it."""
    if _is_over(one, before):
        return []
    after = BEGINNING if before is None else before.seal.to_position
    now = await checkpoints.stretch(tx, after, one.seal.to_position, one.seal.row_count + 1)
    return [] if now == checkpoints.Stretch.of(one.seal) else [_finding("entries_altered", one, now.row_count)]


def _is_over(one: Checkpoint, before: Checkpoint | None) -> bool:
    """Whether its entries are no longer kept: of those that are there that is so of the oldest alone."""
    return one.removed_at is not None and before is None


def _finding(kind: FindingKind, one: Checkpoint, found: int | None = None) -> Finding:
    count = one.seal.row_count
    since, until = uuid7_moment(one.seal.from_position), uuid7_moment(one.seal.to_position)
    return Finding(kind, one.seal.id, since, until, count, count if found is None else found)
