"""Reindexing: a base is asked to come to another generation, or to go back to the former one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.jobs.backlog import Backlog
from server.kernel.audit import Change
from server.kernel.clock import now
from server.kernel.principal import current_call
from server.knowledge.documents import EmbeddingsDiffer
from server.knowledge.domain import EmbeddingModelUnsuitable, KnowledgeBase
from server.knowledge.generations import Generation, KnowledgeBaseReindexing, Reindex, ReindexNotReversible
from server.knowledge.ports import AuditLog, Embeddings
from server.knowledge.service.bases import check_chunks, model_for, open_base
from server.knowledge.service.rebuilding import asked_for, turn
from server.knowledge.service.sight import told
from server.knowledge.service.values import generation_values
from server.knowledge.store import generations


class ReindexService:
    """Has bases of the caller's tenant built anew."""

    def __init__(self, database: Database, embeddings: Embeddings, backlog: Backlog, audit: AuditLog) -> None:
        self._database = database
        self._embeddings = embeddings
        self._backlog = backlog
        self._audit = audit

    async def reindex(self, base_id: UUID, values: Mapping[str, Any]) -> KnowledgeBase:
        """Asks for another generation. `values`: embedding_model, chunk_size, chunk_overlap; else as the base has them.

        Raises KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, KnowledgeBaseReindexing,
        EmbeddingModelUnsuitable, PermissionMissing, InvalidRequest, and what is wrong with the model.
        """
        call = current_call()
        found = await self._look(base_id)  # the model is asked for before anything is held
        size = values.get("chunk_size", found.chunk_size)
        overlap = values.get("chunk_overlap", found.chunk_overlap)
        check_chunks(size, overlap)
        model = await model_for(self._embeddings, values.get("embedding_model") or found.embedding_model, size)
        if model.dimensions is None:
            raise EmbeddingModelUnsuitable(model.name)
        made = Generation(0, model.name, model.dimensions, size, overlap)
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            base = await open_base(tx, base_id)
            await _check_still(tx, base)
            reindex = await generations.start(tx, base, made, call.caller.user_id, call.caller.api_key_id)
            return await self._begin(tx, "knowledge_bases.reindex", base, reindex)

    async def roll_back(self, base_id: UUID) -> KnowledgeBase:
        """Calls off what is built; or goes back to the former generation, once every document is in it.

        Raises KnowledgeBaseNotFound, KnowledgeBaseDeleted, KnowledgeBaseArchived, KnowledgeBaseReindexing,
        ReindexNotReversible, EmbeddingsDiffer, PermissionMissing, and what is wrong with the model.
        """
        call = current_call()
        found = await self._look(base_id)
        former = None if _building(found) else _former(found)
        if former is not None:
            await self._check_model(former.generation)
        async with self._database.tenant_tx(call.caller.tenant_id) as tx:
            base = await open_base(tx, base_id)
            (at_present,) = await told(tx, [base])
            building, there = _building(at_present), _former(at_present)
            if building is not None and not building.rollback:
                return await self._call_off(tx, base, building)
            if building is not None:
                raise KnowledgeBaseReindexing(base.name)
            if there is None:
                raise ReindexNotReversible(base.name)
            if former is None or there.generation != former.generation:  # one came to its end a moment ago
                raise KnowledgeBaseReindexing(base.name)
            number, caller = there.generation.number, call.caller
            complete = not await generations.missing(tx, base.id, number, 1)
            reindex = await generations.go_back(tx, base.id, number, caller.user_id, caller.api_key_id)
            if not complete:
                return await self._begin(tx, "knowledge_bases.rollback", base, reindex)
            await self._record(tx, "knowledge_bases.rollback", base, reindex)
            new = await turn(tx, base, reindex, self._audit)
            await self._backlog.add(tx, *asked_for(base.id, reindex, call))  # which removes what was left
            return (await told(tx, [new]))[0]

    async def _look(self, base_id: UUID) -> KnowledgeBase:
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            return (await told(tx, [await open_base(tx, base_id)]))[0]

    async def _check_model(self, made: Generation) -> None:
        """Raises what is wrong with the model."""
        model = await self._embeddings.model(made.embedding_model)
        if model.dimensions != made.embedding_dimensions:
            raise EmbeddingsDiffer(model.name)

    async def _call_off(self, tx: Tx, base: KnowledgeBase, reindex: Reindex) -> KnowledgeBase:
        await generations.stop(tx, base.id)
        await self._record(tx, "knowledge_bases.cancel_reindex", base, reindex)
        await self._backlog.add(tx, *asked_for(base.id, reindex, current_call()))  # which removes what was built
        return (await told(tx, [base]))[0]

    async def _begin(self, tx: Tx, action: str, base: KnowledgeBase, reindex: Reindex) -> KnowledgeBase:
        await self._record(tx, action, base, reindex)
        new = (await told(tx, [base]))[0]
        await self._backlog.add(tx, *asked_for(base.id, reindex, current_call()))
        return new

    async def _record(self, tx: Tx, action: str, base: KnowledgeBase, reindex: Reindex) -> None:
        old, new = generation_values(base.generation), generation_values(reindex.generation)
        await self._audit.record(tx, Change(action, "knowledge_base", base.id, old=old, new=new))


async def _check_still(tx: Tx, base: KnowledgeBase) -> None:
    """Raises KnowledgeBaseReindexing."""
    (found,) = await told(tx, [base])
    if _building(found) is not None:
        raise KnowledgeBaseReindexing(base.name)


def _building(base: KnowledgeBase) -> Reindex | None:
    """What is under way."""
    found = base.reindex
    return None if found is None or found.status != "building" else found


def _former(base: KnowledgeBase) -> Reindex | None:
    """What it can go back to. One whose time is over may be removed at any moment."""
    found = base.former
    return None if found is None or found.kept_until is None or found.kept_until <= now() else found
