"""A base that the caller does not see is not there for the service either, whatever their permissions let them call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.store import idempotency
from server.kernel.ids import PLATFORM_TENANT_ID
from server.kernel.principal import Call
from server.knowledge.domain import KnowledgeBaseNotFound
from server.knowledge.service.bases import BaseService
from server.knowledge.service.sight import Sight
from server.tenant.quotas import TenantQuotas

Use = Callable[[BaseService, UUID], Awaitable[object]]


class _NoModels:
    """Nothing is embedded here."""

    async def model(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda service, base_id: service.get(base_id, "exclude"),
        lambda service, base_id: service.update(base_id, {"name": "mine"}, ""),
        lambda service, base_id: service.update(base_id, {"chunk_size": 64}, ""),
        lambda service, base_id: service.archive(base_id, ""),
        lambda service, base_id: service.activate(base_id, ""),
        lambda service, base_id: service.delete(base_id, ""),
        lambda service, base_id: service.restore(base_id),
        lambda service, base_id: service.purge(base_id),
    ],
    ids=["get", "update", "update the size", "archive", "activate", "delete", "restore", "purge"],
)
async def test_anothers_personal_base_is_not_there_whether_it_lives_or_not(
    database: Database, admin: Any, caller: Call, use: Use, *, deleted: bool
) -> None:
    owner = await admin.fetchval(
        "INSERT INTO users (tenant_id, username, email) VALUES ($1, 'ada', 'ada@x') RETURNING id", PLATFORM_TENANT_ID
    )
    base_id = await admin.fetchval(
        "INSERT INTO knowledge_bases (tenant_id, owner_user_id, name, visibility_scope, status, former_status, "
        "deleted_at, default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap) "
        "VALUES ($1, $2, 'secret', 'personal', $3, $4, $5, 'none', 8, 512, 64) RETURNING id",
        *(PLATFORM_TENANT_ID, owner),
        *(("deleted", "active", await admin.fetchval("SELECT now()")) if deleted else ("active", None, None)),
    )
    before = await admin.fetchrow("SELECT * FROM knowledge_bases")
    audit = AuditLog(database)
    service = BaseService(database, Sight(database), _NoModels(), TenantQuotas(), audit, idempotency.forget_about)

    with pytest.raises(KnowledgeBaseNotFound):
        await use(service, base_id)

    assert await admin.fetchrow("SELECT * FROM knowledge_bases") == before
