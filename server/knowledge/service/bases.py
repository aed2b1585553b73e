"""Knowledge bases: made, found, changed, archived, deleted and brought back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from server.db.database import Database, Tx
from server.kernel.audit import Change
from server.kernel.deletion import Deleted, NotDeleted, check_deleted
from server.kernel.errors import InvalidRequest, check_etag
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.paging import Page, PageRequest
from server.kernel.permissions import Permission
from server.kernel.principal import Principal, current_call
from server.knowledge.domain import (
    EmbeddingModelUnsuitable,
    KnowledgeBase,
    KnowledgeBaseActive,
    KnowledgeBaseArchived,
    KnowledgeBaseNotPersonal,
    KnowledgeBaseNotPublic,
    KnowledgeBasePurgeBegun,
    manages,
)
from server.knowledge.ports import AuditLog, EmbeddingModel, Embeddings, ForgetAnswers, Quotas
from server.knowledge.service.sight import Sight, seen, told
from server.knowledge.service.values import base_values
from server.knowledge.store import bases as store
from server.knowledge.store import generations


class BaseService:
    """Keeps the knowledge bases of the caller's tenant."""

    def __init__(
        self,
        database: Database,
        sight: Sight,
        embeddings: Embeddings,
        quotas: Quotas,
        audit: AuditLog,
        forget: ForgetAnswers,
    ) -> None:
        self._database = database
        self._sight = sight
        self._embeddings = embeddings
        self._quotas = quotas
        self._audit = audit
        self._forget = forget

    async def create(self, values: Mapping[str, Any], model_name: str) -> KnowledgeBase:
        """The caller's, with nothing in it. `model_name`: what embeds its chunks; empty: the tenant's default.

        Raises KnowledgeBaseNameTaken, KnowledgeBaseNotPersonal, KnowledgeBaseNotPublic, EmbeddingModelUnsuitable,
        QuotaExceeded, PermissionMissing, and what is wrong with the model.
        """
        caller = current_call().caller
        if values["visibility_scope"] == "public":
            check_public(caller, public=True)
            _check_library(caller, values["name"])
        if values["visibility_scope"] == "personal" and caller.member_id is None:
            raise KnowledgeBaseNotPersonal(values["name"])
        check_chunks(values["chunk_size"], values["chunk_overlap"])
        model = await model_for(self._embeddings, model_name, values["chunk_size"])
        if model.dimensions is None:
            raise EmbeddingModelUnsuitable(model.name)
        made = {
            **values,
            "owner_user_id": caller.member_id,
            "created_by": caller.member_id and str(caller.member_id),
            "default_embedding_model": model.name,
            "embedding_dimensions": model.dimensions,
        }
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            await self._make_room(tx)
            base = await store.create(tx, made)
            await self._record(tx, "knowledge_bases.create", base.id, new=base)
        return base

    async def get(self, base_id: UUID, deleted: Deleted) -> KnowledgeBase:
        """Raises KnowledgeBaseNotFound, PermissionMissing."""
        caller = current_call().caller
        check_deleted(caller, deleted)
        return await self._sight.base(base_id, deleted, whole=True)

    async def page(self, request: PageRequest, filters: Mapping[str, Any], deleted: Deleted) -> Page[KnowledgeBase]:
        """What the caller sees of their tenant's, newest first. `filters`: visibility, status, owner_user_id.

        Raises PermissionMissing.
        """
        caller = current_call().caller
        check_deleted(caller, deleted)
        async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
            page = await store.page(tx, request, caller.member_id, filters, deleted, personal=manages(caller))
            return Page(await told(tx, page.items), page.next_cursor)

    async def public_page(self, request: PageRequest) -> Page[KnowledgeBase]:
        """The platform's public ones, newest first."""
        return await self._sight.public_page(request)

    async def update(self, base_id: UUID, values: Mapping[str, Any], etag: str) -> KnowledgeBase:
        """Changes the given fields. How chunks are cut changes for what is processed from then on.

        Raises KnowledgeBaseNotFound, EtagMismatch, KnowledgeBaseNameTaken, KnowledgeBaseNotPersonal,
        KnowledgeBaseNotPublic, PermissionMissing, InvalidRequest, and of another `chunk_size` what is wrong with the
        model.
        """
        caller = current_call().caller
        if "chunk_size" in values:  # before the transaction, which waits for nobody; its model is a base's for good
            async with self._database.tenant_tx(caller.tenant_id, read_only=True) as tx:
                found = await store.get(tx, base_id)
            if found is not None and seen(found).chunk_size != values["chunk_size"]:
                await model_for(self._embeddings, found.embedding_model, values["chunk_size"])
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = seen(await store.lock(tx, base_id))
            check_etag(etag, old.revision, "knowledge base")
            becomes = values.get("visibility_scope", old.visibility)
            check_public(caller, public="public" in (old.visibility, becomes))
            if becomes == "public":
                _check_library(caller, old.name)
            made_personal = becomes == "personal" != old.visibility
            if made_personal and (caller.member_id is None or old.owner_user_id != caller.member_id):
                raise KnowledgeBaseNotPersonal(old.name)
            check_chunks(values.get("chunk_size", old.chunk_size), values.get("chunk_overlap", old.chunk_overlap))
            return await self._change(tx, "knowledge_bases.update", old, values)

    async def archive(self, base_id: UUID, etag: str) -> KnowledgeBase:
        """Keeps it as it is: nothing is added to it or found in it, and a reindex is called off.

        Raises KnowledgeBaseNotFound, EtagMismatch, KnowledgeBaseArchived, PermissionMissing.
        """
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = seen(await store.lock(tx, base_id))
            check_etag(etag, old.revision, "knowledge base")
            check_public(current_call().caller, public=old.visibility == "public")
            if old.status == "archived":
                raise KnowledgeBaseArchived(old.name)
            await generations.stop(tx, base_id)
            return await self._change(tx, "knowledge_bases.archive", old, {"status": "archived"})

    async def activate(self, base_id: UUID, etag: str) -> KnowledgeBase:
        """Has it used again. Raises KnowledgeBaseNotFound, EtagMismatch, KnowledgeBaseActive, PermissionMissing."""
        async with self._database.tenant_tx(current_call().caller.tenant_id) as tx:
            old = seen(await store.lock(tx, base_id))
            check_etag(etag, old.revision, "knowledge base")
            check_public(current_call().caller, public=old.visibility == "public")
            if old.status == "active":
                raise KnowledgeBaseActive(old.name)
            return await self._change(tx, "knowledge_bases.activate", old, {"status": "active"})

    async def delete(self, base_id: UUID, etag: str) -> None:
        """Hides the base with its documents, and calls off a reindex.

        Raises KnowledgeBaseNotFound, EtagMismatch, PermissionMissing.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = seen(await store.lock(tx, base_id))
            check_etag(etag, old.revision, "knowledge base")
            check_public(caller, public=old.visibility == "public")
            await generations.stop(tx, base_id)
            new = await store.mark_deleted(tx, base_id, caller.member_id)
            await self._record(tx, "knowledge_bases.delete", base_id, old=old, new=new)

    async def restore(self, base_id: UUID) -> KnowledgeBase:
        """Brings the base back as it was.

        Raises KnowledgeBaseNotFound, NotDeleted, KnowledgeBaseNameTaken, QuotaExceeded,
        KnowledgeBasePurgeBegun, PermissionMissing.
        """
        caller = current_call().caller
        async with self._database.tenant_tx(caller.tenant_id) as tx:
            old = await _deleted(tx, base_id)
            check_public(caller, public=old.visibility == "public")
            if old.purge_begun:
                raise KnowledgeBasePurgeBegun(old.name)
            await self._make_room(tx)
            new = await store.restore(tx, old)
            await self._record(tx, "knowledge_bases.restore", base_id, old=old, new=new)
            return (await told(tx, [new]))[0]

    async def purge(self, base_id: UUID) -> None:
        """Removes a deleted base for good, with all that is in it. Raises KnowledgeBaseNotFound, NotDeleted."""
        tenant_id = current_call().caller.tenant_id
        async with self._database.tenant_tx(tenant_id) as tx:
            await _deleted(tx, base_id)
        await purge_base(self._database, tenant_id, base_id, self._audit, self._forget)

    async def _make_room(self, tx: Tx) -> None:
        """Raises QuotaExceeded where the tenant has as many as it may."""
        limit = await self._quotas.hold(tx, "knowledge_bases")
        if limit is not None:
            limit.admit(await store.count(tx))

    async def _change(self, tx: Tx, action: str, old: KnowledgeBase, values: Mapping[str, Any]) -> KnowledgeBase:
        member_id = current_call().caller.member_id
        by = {"updated_by": member_id and str(member_id)}
        new = await store.change(tx, old, {**values, **by}) if values else old
        await self._record(tx, action, old.id, old=old, new=new)
        return (await told(tx, [new]))[0]

    async def _record(
        self, tx: Tx, action: str, base_id: UUID, *, old: KnowledgeBase | None = None, new: KnowledgeBase | None = None
    ) -> None:
        change = Change(action, "knowledge_base", base_id, old=base_values(old), new=base_values(new))
        await self._audit.record(tx, change)


async def purge_base(
    database: Database, tenant_id: UUID, base_id: UUID, audit: AuditLog, forget: ForgetAnswers
) -> None:
    """Removes a deleted base with its documents, in batches: a million chunks take longer than a statement may. Once it
    has begun, and told what there is of it, the base cannot be restored; whoever purges next goes on with one that was
    interrupted. Raises KnowledgeBaseNotFound.
    """
    async with database.tenant_tx(tenant_id) as tx:
        base = await store.lock_any(tx, base_id)
        if base.deleted_at is None:  # restored meanwhile
            return
        if not base.purge_begun:
            await store.begin_purge(tx, base_id)
            await audit.record(tx, Change("knowledge_bases.purge", "knowledge_base", base_id, old=base_values(base)))
            await forget(tx, [base_id])
    more = True
    while more:
        async with database.tenant_tx(tenant_id) as tx:
            removed = await store.empty(tx, base_id)
            await forget(tx, removed)
        more = bool(removed)
    async with database.tenant_tx(tenant_id) as tx:
        await store.purge(tx, base_id)


def check_public(caller: Principal, *, public: bool) -> None:
    """Raises PermissionMissing where a public base is changed by somebody who may not."""
    if public:
        caller.require(Permission.PUBLIC_KNOWLEDGE_BASES_MANAGE)


def _check_library(caller: Principal, name: str) -> None:
    """Raises KnowledgeBaseNotPublic outside of the platform's own tenant."""
    if caller.tenant_id != PLATFORM_TENANT_ID:
        raise KnowledgeBaseNotPublic(name)


async def open_base(tx: Tx, base_id: UUID) -> KnowledgeBase:
    """The base, to which documents can be added, held until the transaction ends. Raises KnowledgeBaseNotFound,
    KnowledgeBaseDeleted, KnowledgeBaseArchived, PermissionMissing.
    """
    base = seen(await store.lock_any(tx, base_id))
    check_public(current_call().caller, public=base.visibility == "public")
    base.check_active()
    return base


async def check_key(database: Database, embeddings: Embeddings, base_id: UUID) -> None:
    """What is embedded later is so for whoever asks now: raises what is wrong where their key is for other models than
    the base's. Before anything is held: what is known of models may have to be read.
    """
    caller = current_call().caller
    if caller.allowed_models is None:
        return
    async with database.tenant_tx(caller.tenant_id, read_only=True) as tx:
        base = await store.get(tx, base_id)
    if base is not None and base.seen_by(caller):
        await embeddings.check_key(base.embedding_model)


async def model_for(embeddings: Embeddings, name: str, chunk_size: int) -> EmbeddingModel:
    """What embeds chunks of that size. Raises InvalidRequest, and what is wrong with the model."""
    model = await embeddings.model(name)
    if model.max_tokens is not None and chunk_size > model.max_tokens:
        raise InvalidRequest([("chunk_size", f"must be at most {model.max_tokens}, as {model.name} takes no more")])
    return model


def check_chunks(size: int, overlap: int) -> None:
    """Raises InvalidRequest where chunks would hardly get on."""
    if overlap * 2 > size:
        raise InvalidRequest([("chunk_overlap", "must be at most half of chunk_size")])


async def _deleted(tx: Tx, base_id: UUID) -> KnowledgeBase:
    base = seen(await store.lock_any(tx, base_id))
    if base.deleted_at is None:
        raise NotDeleted(f"knowledge base {base.name}")
    return base
