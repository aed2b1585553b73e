"""Tenants with something of every age in each table, and what removes it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from server.audit.service.log import AuditLog
from server.db.database import Database
from server.identity.service.expiry import Expiry
from server.identity.store import idempotency
from server.kernel.tasks import Background
from server.knowledge.service.upkeep import KnowledgeUpkeep
from server.model.ledger import Ledger
from server.model.service.upkeep import ModelUpkeep
from server.prompt.service.upkeep import PromptUpkeep
from server.settings import Settings
from server.tenant.purge import TenantPurge
from server.tenant.standing import TenantStanding
from server.work import Upkeep, belongings
from server.workflow.service.upkeep import WorkflowUpkeep

ADA, GRACE, GONE, KEPT = (UUID(int=number) for number in range(1, 5))

_TENANTS = """
INSERT INTO tenants (id, name, slug, status, deleted_at) VALUES
    ($1, 'Ada', 'ada', 'active', NULL), ($2, 'Grace', 'grace', 'suspended', NULL),
    ($3, 'Gone', 'gone', 'deleted', now() - interval '31 days'),
    ($4, 'Kept', 'kept', 'deleted', now() - interval '3 days')
"""
_ROWS = """
INSERT INTO tenant_configs (tenant_id) VALUES ('{tenant}');
INSERT INTO users (tenant_id, username, email, deleted_at) VALUES
    ('{tenant}', 'live', 'live@x', NULL), ('{tenant}', 'fresh', 'fresh@x', now() - interval '29 days'),
    ('{tenant}', 'long ago', 'long@x', now() - interval '31 days');
INSERT INTO roles (tenant_id, name, code, deleted_at) VALUES
    ('{tenant}', 'live', 'live', NULL), ('{tenant}', 'old', 'old', now() - interval '31 days');
INSERT INTO prompt_templates (tenant_id, name, visibility, deleted_at) VALUES
    ('{tenant}', 'live', 'tenant', NULL), ('{tenant}', 'fresh', 'tenant', now() - interval '29 days'),
    ('{tenant}', 'long ago', 'tenant', now() - interval '31 days');
INSERT INTO prompt_template_versions (tenant_id, template_id, version, content, content_hash)
    SELECT tenant_id, id, name, '""', 'hash' FROM prompt_templates WHERE tenant_id = '{tenant}';
INSERT INTO prompt_labels (tenant_id, template_id, label, version_id)
    SELECT tenant_id, template_id, version, id FROM prompt_template_versions WHERE tenant_id = '{tenant}';
INSERT INTO knowledge_bases (tenant_id, name, status, former_status, deleted_at,
                             default_embedding_model, embedding_dimensions, chunk_size, chunk_overlap)
    SELECT '{tenant}', name, CASE WHEN ago IS NULL THEN was ELSE 'deleted' END, CASE WHEN ago IS NOT NULL THEN was END,
           now() - ago, 'local-embedding', 256, 512, 64
    FROM (VALUES ('live', 'active', NULL), ('archived', 'archived', NULL), ('fresh', 'active', interval '29 days'),
        ('long ago', 'archived', interval '31 days')
    ) AS v (name, was, ago);
INSERT INTO knowledge_documents (tenant_id, knowledge_base_id, title, deleted_at,
                                 source_type, source_uri, file_size, file_mime_type, file_hash)
    SELECT tenant_id, id, title, now() - ago, 'text', 'blob:', 1, 'text/plain', title FROM knowledge_bases,
        (VALUES ('live', NULL), ('fresh', interval '29 days'), ('long ago', interval '31 days')) AS v (title, ago)
    WHERE tenant_id = '{tenant}' AND name = 'live';
INSERT INTO document_blobs (tenant_id, knowledge_base_id, document_id, hash, described)
    SELECT tenant_id, knowledge_base_id, id, title, '{{}}' FROM knowledge_documents WHERE tenant_id = '{tenant}';
INSERT INTO document_blobs (tenant_id, knowledge_base_id, hash, described, expires_at)
    SELECT tenant_id, id, hash, '{{}}', now() + expires FROM knowledge_bases,
        (VALUES ('under way', interval '1 hour'), ('given up', interval '0')) AS v (hash, expires)
    WHERE tenant_id = '{tenant}' AND name = 'live';
INSERT INTO document_blob_parts (tenant_id, blob_id, part, bytes)
    SELECT tenant_id, id, 0, hash::bytea FROM document_blobs WHERE tenant_id = '{tenant}';
INSERT INTO workflows (tenant_id, name, visibility, definition, version, deleted_at)
    SELECT '{tenant}', name, 'tenant', '{{"steps": [], "output": ""}}', 'v1.0', now() - ago
    FROM (VALUES ('live', NULL), ('fresh', interval '29 days'), ('long ago', interval '31 days')) AS v (name, ago);
INSERT INTO workflow_versions (tenant_id, workflow_id, version, definition)
    SELECT tenant_id, id, name, '{{}}' FROM workflows WHERE tenant_id = '{tenant}';
INSERT INTO agent_configs (tenant_id, name, deleted_at)
    SELECT tenant_id, name, deleted_at FROM workflows WHERE tenant_id = '{tenant}';
INSERT INTO user_roles (tenant_id, user_id, role_id, granted_by)
    SELECT '{tenant}', u.id, r.id, g.id FROM users u, roles r, users g WHERE u.tenant_id = '{tenant}'
    AND r.tenant_id = '{tenant}' AND g.tenant_id = '{tenant}' AND u.username = 'live' AND g.username = 'long ago';
INSERT INTO sessions (tenant_id, user_id, refresh_hash, expires_at, revoked_at)
    SELECT '{tenant}', id, hash, now() + expires, now() - revoked FROM users, (VALUES
        ('good', interval '1 day', NULL), ('just expired', interval '-1 day', NULL),
        ('old', interval '-8 days', NULL), ('old revoked', interval '1 day', interval '8 days')
    ) AS v (hash, expires, revoked) WHERE tenant_id = '{tenant}' AND username = 'live';
INSERT INTO idempotency_keys (tenant_id, caller, method, key, request_hash, status, expires_at)
    VALUES ('{tenant}', '{tenant}', 'm', 'good', 'h', 'done', now() + interval '1 hour'),
           ('{tenant}', '{tenant}', 'm', 'old', 'h', 'done', now());
INSERT INTO sign_in_throttle (tenant_id, address, updated_at)
    VALUES ('{tenant}', '192.0.2.1', now()), ('{tenant}', '192.0.2.2', now() - interval '2 days');
INSERT INTO sign_in_guesses (tenant_id, user_id, address, updated_at)
    SELECT tenant_id, tenant_id, address, updated_at FROM sign_in_throttle WHERE tenant_id = '{tenant}';
INSERT INTO one_time_tokens (tenant_id, user_id, purpose, token_hash, expires_at)
    SELECT '{tenant}', id, 'verify_email', hash, now() + expires FROM users, (VALUES
        ('good', interval '1 hour'), ('old', interval '-2 days')
    ) AS v (hash, expires) WHERE tenant_id = '{tenant}' AND username = 'live'
"""


async def make_tenants(admin: Any) -> None:
    await admin.execute(_TENANTS, ADA, GRACE, GONE, KEPT)
    for tenant in (ADA, GRACE, GONE, KEPT):
        await admin.execute(_ROWS.format(tenant=tenant))


def make_upkeep(database: Database, settings: Settings) -> Upkeep:
    audit = AuditLog(database)
    purge = TenantPurge(database, settings.admin_database_url, audit)
    standing = TenantStanding(database)
    models = ModelUpkeep(database, Ledger(database, audit, Background()), standing)
    expiry = Expiry(database, audit, belongings())
    prompts, knowledge = (kind(database, audit, idempotency.forget_about) for kind in (PromptUpkeep, KnowledgeUpkeep))
    workflows = WorkflowUpkeep(database, audit, idempotency.forget_about)
    return Upkeep(standing, expiry, purge, models, prompts, knowledge, workflows)
