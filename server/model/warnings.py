"""Warnings of months' limits that are nearly used, and used up."""

from __future__ import annotations

from decimal import Decimal

from server.db.database import Tx
from server.kernel.audit import Change
from server.kernel.decimals import decimal_text
from server.model.limits import WARNINGS, Window, due, mark
from server.model.ports import AuditLog
from server.model.store import ledger as store
from server.model.store.ledger import Balance

_FULL = Decimal(1)


class Warnings:
    """Writes them into the audit log, each once for a limit and a month."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def warn(
        self, tx: Tx, window: Window, limit: Decimal, balance: Balance, used: Decimal, *, full: bool = False
    ) -> None:
        """Those that are due where so much is used of a limit whose row is held. `full`: a call is refused, which says
        that the limit is used up where it nearly is: what is left is for smaller calls.
        """
        if window.kind != "month":
            return
        parts = due(limit, used, balance.warned)
        nearly = used >= limit * min(WARNINGS)
        if full and nearly and _FULL not in parts and mark(limit, _FULL) not in balance.warned:
            parts.append(_FULL)
        for part in parts:
            details = {
                "subject": window.subject,
                "kind": window.measure,
                "month": f"{window.start:%Y-%m}",
                "limit": decimal_text(limit),
                "used": decimal_text(used),
                "percent": int(part * 100),
            }
            await self._audit.record(tx, Change("limits.warning", "model_limits", window.subject, details=details))
        if parts:
            await store.note_warned(tx, window, [mark(limit, part) for part in parts])
