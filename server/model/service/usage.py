"""What was used of models, and what may be: sums by day, and the limits of users and API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change, plain
from server.kernel.clock import now
from server.kernel.errors import DatabaseUnavailable, EtagMismatch
from server.kernel.paging import Page, PageRequest
from server.kernel.principal import current_call
from server.kernel.quota import CallLimit
from server.model.catalogue import Catalogues
from server.model.ledger import Ledger
from server.model.limits import (
    TENANT_SETTINGS,
    Limits,
    LimitsNotFound,
    LimitSubjectUnknown,
    SubjectLimits,
    Window,
    resets_at,
    subject_of,
    windows,
)
from server.model.ports import AuditLog, Subjects
from server.model.service.books import Books
from server.model.store import ledger, models, rollups
from server.model.store import limits as store
from server.model.store.ledger import Balance
from server.model.usage import Dimension, Usage, UsagePage, grain_of

LimitUse = tuple[Window, Any, Balance]
"""A limit's window, the limit, and what is reserved and used of it now."""


class UsageService:
    """Reads usage, and keeps the limits of the caller's tenant's users and keys."""

    def __init__(
        self,
        database: Database,
        catalogues: Catalogues,
        ledger: Ledger,
        books: Books,
        subjects: Subjects,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._books = books
        self._ledger = ledger
        self._catalogues = catalogues
        self._subjects = subjects
        self._audit = audit

    async def usage(
        self,
        by: Sequence[Dimension],
        since: date,
        until: date,
        filters: Mapping[str, Any],
        most: int,
        after: Sequence[str] | None,
    ) -> UsagePage:
        """Sums over the calls from `since` and before `until`, those behind `after`. `filters`: model_id, user_id,
        api_key_id, prompt_template_version_id. Raises DimensionsExclusive.
        """
        grain = grain_of(by, filters)
        tenant_id = current_call().caller.tenant_id
        await self._books.caught_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            return await rollups.read(tx, grain, tuple(by), since, until, filters, most, after)

    async def by_prompt_version(self, version_ids: Sequence[UUID], since: date, until: date) -> dict[UUID, Usage]:
        """What was used with each of these versions, of those that were used."""
        tenant_id = current_call().caller.tenant_id
        await self._books.caught_up(tenant_id)
        async with self._database.tenant_tx(tenant_id) as tx:
            return await rollups.of_prompts(tx, version_ids, since, until)

    async def set_limits(
        self, user_id: UUID | None, api_key_id: UUID | None, limits: Limits, etag: str
    ) -> SubjectLimits:
        """These limits and no others, from the next call on.

        Raises LimitSubjectUnknown, EtagMismatch; where the user is deleted, or the key is theirs, that they are.
        """
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            if not await self._subjects.hold(tx, user_id, api_key_id):
                raise LimitSubjectUnknown(user_id or api_key_id)
            old = await store.lock(tx, user_id, api_key_id)
            if old is not None:
                old.check_etag(etag)
            elif etag:  # what it was read of was removed
                raise EtagMismatch(resource="model limits")
            new = await store.put(tx, user_id, api_key_id, limits)
            await models.tell_changed(tx, tenant_id)
            await self._record(tx, "limits.set", new, old=None if old is None else old.limits, new=limits)
        await self._look(tenant_id, new.subject, limits)
        return new

    async def look(self, tenant_id: UUID) -> None:
        """Warns of what is passed already of the tenant's own limits, which are among its settings."""
        limits = (await self._catalogues.of(tenant_id)).limits.get("tenant")
        if limits is not None:
            await self._look(tenant_id, "tenant", limits)

    async def get_limits(
        self, user_id: UUID | None, api_key_id: UUID | None
    ) -> tuple[SubjectLimits | None, list[LimitUse]]:
        """The limits of a user or a key (None: it has none), and what is used of each; or, both None, the tenant's.

        Raises LimitSubjectUnknown.
        """
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id, read_only=True) as tx:
            if (user_id is not None or api_key_id is not None) and not await self._there(tx, (user_id, api_key_id)):
                raise LimitSubjectUnknown(user_id or api_key_id)
            found = await store.find(tx, user_id, api_key_id)
        subject = subject_of(user_id, api_key_id)
        if found is not None:
            limits = found.limits
        else:
            limits = (await self._catalogues.of(tenant_id)).limits.get(subject, Limits())
        return found, await self._in_use(tenant_id, subject, limits)

    async def caught_up(self, tenant_id: UUID) -> None:
        """Returns when all calls that are over are among the tenant's records and sums."""
        await self._books.caught_up(tenant_id)

    async def of_tenant(self, tenant_id: UUID) -> list[CallLimit]:
        """The limits of the tenant itself, and what is used of each."""
        limits = (await self._catalogues.of(tenant_id)).limits.get(subject_of(None, None), Limits())
        return [
            CallLimit(
                TENANT_SETTINGS[window.kind, window.measure], limit, balance.used, balance.reserved, resets_at(window)
            )
            for window, limit, balance in await self._in_use(tenant_id, subject_of(None, None), limits)
        ]

    async def _in_use(self, tenant_id: UUID, subject: str, limits: Limits) -> list[LimitUse]:
        counted = dict(windows(subject, limits, now()))
        await self._books.caught_up(tenant_id)
        await self._ledger.recall(tenant_id, counted, to_look=True)
        async with self._database.tenant_tx(tenant_id) as tx:
            balances = await ledger.read(tx, counted)
        # A month whose limit was just set has no row until somebody looks at it; what was used in it counts already.
        if missing := [window for window in counted if window.kind == "month" and balances[window] is ledger.NOTHING]:
            async with self._database.tenant_tx(tenant_id) as tx:
                await ledger.open_rows(tx, missing)
            async with self._database.tenant_tx(tenant_id) as tx:
                balances = await ledger.read(tx, counted)
        return [(window, limit, balances[window]) for window, limit in counted.items()]

    async def page_limits(self, request: PageRequest) -> Page[SubjectLimits]:
        """The limits of users and keys that are there, newest first."""
        shown: list[SubjectLimits] = []
        cursor = request.cursor
        async with self._database.tenant_tx(current_call().caller.tenant_id, read_only=True) as tx:
            while True:
                page = await store.page(tx, PageRequest(request.size + 1, cursor))
                there = await self._there(tx, *((each.user_id, each.api_key_id) for each in page.items))
                shown += (each for each in page.items if (each.user_id or each.api_key_id) in there)
                cursor = page.next_cursor
                if cursor is None or len(shown) > request.size:
                    return Page.cut(shown[: request.size + 1], [each.id for each in shown], request.size)

    async def delete_limits(self, limits_id: UUID, etag: str) -> None:
        """Raises LimitsNotFound, EtagMismatch."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            old = await store.lock_by_id(tx, limits_id)
            if not await self._there(tx, (old.user_id, old.api_key_id)):
                raise LimitsNotFound(limits_id)
            old.check_etag(etag)
            await store.remove(tx, limits_id)
            await models.tell_changed(tx, tenant_id)
            await self._record(tx, "limits.delete", old, old=old.limits)

    async def _there(self, tx: Tx, *subjects: tuple[UUID | None, UUID | None]) -> set[UUID]:
        """Which of the users and keys there are."""
        user_ids = [user_id for user_id, _ in subjects if user_id is not None]
        api_key_ids = [api_key_id for _, api_key_id in subjects if api_key_id is not None]
        return await self._subjects.there(tx, user_ids, api_key_ids)

    async def _look(self, tenant_id: UUID, subject: str, limits: Limits) -> None:
        with suppress(DatabaseUnavailable):  # they are set all the same, and the calls that follow are warned of
            await self._books.caught_up(tenant_id)
            await self._ledger.look(tenant_id, subject, limits)

    async def _record(
        self, tx: Tx, action: str, whose: SubjectLimits, *, old: Limits | None = None, new: Limits | None = None
    ) -> None:
        change = Change(action, "model_limits", whose.subject, old=_values(old), new=_values(new))
        await self._audit.record(tx, change)


def _values(limits: Limits | None) -> dict[str, Any] | None:
    return None if limits is None else plain(asdict(limits))
