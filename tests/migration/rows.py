"""A row for every table of the schema, by the revision that makes it."""

from __future__ import annotations

import json
import re
from typing import Any

from server.kernel.ids import uuid7
from tests.databases import Scratch

OWN = "01890a5d-ac96-774b-bcce-b302099a"
"""What the ids begin with that are given here."""

TENANT = "01890a5d-ac96-774b-bcce-b302099a8057"
_USER = "01890a5d-ac96-774b-bcce-b302099a8058"
_ROLE = "01890a5d-ac96-774b-bcce-b302099a8059"
_MODEL = "01890a5d-ac96-774b-bcce-b302099a805a"
_PERMISSION = "01890a5d-ac96-774b-bcce-b302099a805b"
_TEMPLATE = "01890a5d-ac96-774b-bcce-b302099a805c"
_VERSION = "01890a5d-ac96-774b-bcce-b302099a805d"
_BASE = "01890a5d-ac96-774b-bcce-b302099a805e"
_DOCUMENT = "01890a5d-ac96-774b-bcce-b302099a805f"
_BLOB = "01890a5d-ac96-774b-bcce-b302099a8060"
_WORKFLOW = "01890a5d-ac96-774b-bcce-b302099a8061"
_OWN_MODEL = "01890a5d-ac96-774b-bcce-b302099a8062"
_EXECUTION = str(uuid7())  # of a month that there is
_THEN = "2030-01-01T00:00:00Z"
_BYTES = r"\x00"

_OF_TENANT = {"tenant_id": TENANT}
_OF_USER = {**_OF_TENANT, "user_id": _USER}
_LIMIT = {**_OF_TENANT, "window_kind": "minute", "window_start": _THEN, "subject": "tenant", "kind": "tokens"}
_OF_BASE = {**_OF_TENANT, "knowledge_base_id": _BASE}
_OF_EXECUTION = {**_OF_TENANT, "execution_id": _EXECUTION}
_DEFINITION: dict[str, Any] = {"steps": [], "output": ""}
_STREAMING = {"provider": "custom", "model_type": "chat", "supports_streaming": True}
_PRICE = {"input_cost_per_1k": 1, "output_cost_per_1k": 2}

# A row of every table that the revision makes, in columns that it gives it.
ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "0001": {},
    "0002": {
        "tenants": {"id": TENANT, "name": "Ada", "slug": "ada"},
        "tenant_configs": {**_OF_TENANT, "default_model": "gpt-4"},
    },
    "0003": {
        "users": {**_OF_TENANT, "id": _USER, "username": "Ada", "email": "ada@example.com"},
        "roles": {**_OF_TENANT, "id": _ROLE, "name": "Writer", "code": "writer"},
        # Before the seeds, which bring one of that name.
        "permissions": {"id": _PERMISSION, "resource": "users", "action": "read", "description": "See users"},
        "user_roles": {**_OF_USER, "role_id": _ROLE},
        "role_permissions": {**_OF_TENANT, "role_id": _ROLE, "permission_id": _PERMISSION},
    },
    "0004": {
        "sessions": {**_OF_USER, "refresh_hash": "hash", "expires_at": _THEN},
        "api_keys": {**_OF_USER, "name": "key", "prefix": "prefix", "secret_hash": "hash", "scopes": []},
        "one_time_tokens": {**_OF_USER, "purpose": "verify_email", "token_hash": "hash", "expires_at": _THEN},
        "signing_keys": {"kid": "kid", "public_key": _BYTES, "wrapped_private_key": _BYTES},
        "idempotency_keys": {
            **_OF_TENANT,
            "caller": _USER,
            "method": "CreateUser",
            "key": "key",
            "request_hash": "hash",
            "status": "done",
            "expires_at": _THEN,
        },
    },
    "0005": {
        "models": {"id": _MODEL, "name": "gpt-4", **_STREAMING},
        "model_prices": {"model_id": _MODEL, **_PRICE},
        "tenant_models": {**_OF_TENANT, "id": _OWN_MODEL, "name": "own", **_STREAMING, **_PRICE},
        "model_routes": {**_OF_TENANT, "alias": "fast", "targets": []},
        "tenant_keys": {**_OF_TENANT, "wrapped_key": _BYTES, "key_id": "master"},
        "provider_credentials": {
            **_OF_TENANT,
            "provider": "openai",
            "name": "ours",
            "ciphertext": _BYTES,
            "nonce": _BYTES,
            "key_id": "master",
            "last_four": "abcd",
        },
    },
    "0006": {
        "model_call_logs": {**_OF_TENANT, "model_id": _MODEL, "request_kind": "chat", "status": "success"},
        "usage_rollups": {**_OF_TENANT, "day": "2030-01-01", "model_id": _MODEL},
        "quota_ledger": _LIMIT,
        "quota_reservations": {**_LIMIT, "amount": 5, "expires_at": _THEN},
    },
    "0007": {
        "audit_logs": {**_OF_TENANT, "actor_kind": "user", "action": "users.create", "resource_type": "user"},
        "audit_checkpoints": {
            **_OF_TENANT,
            "from_position": _USER,
            "to_position": _ROLE,
            "row_count": 2,
            "root_hash": _BYTES,
            "signature": _BYTES,
        },
        "ddl_audit_logs": {"command_tag": "CREATE TABLE", "session_user": "somebody"},
    },
    "0008": {},
    "0009": {"sign_in_throttle": {**_OF_TENANT, "address": "192.0.2.1"}},
    "0010": {},
    "0011": {},
    "0012": {},
    "0013": {},
    "0014": {"model_limits": {**_OF_USER, "requests_per_minute": 5}},
    "0015": {
        "call_contents": {**_OF_TENANT, "call_log_id": _MODEL, "messages": []},
        "response_cache": {**_OF_TENANT, "question_hash": _BYTES, "answer": {}, "expires_at": _THEN},
        "embedding_cache": {
            **_OF_TENANT,
            "model_id": _MODEL,
            "content_hash": _BYTES,
            "vector": _BYTES,
            "expires_at": _THEN,
        },
        "generations": {**_OF_USER, "id": _MODEL, "kept_until": _THEN, "expires_at": _THEN},
        "generation_events": {
            **_OF_TENANT,
            "generation_id": _MODEL,
            "first_seq": 1,
            "last_seq": 2,
            "messages": [_BYTES],
        },
    },
    "0016": {
        "prompt_templates": {**_OF_TENANT, "id": _TEMPLATE, "owner_user_id": _USER, "name": "Greeting"},
        "prompt_template_versions": {
            **_OF_TENANT,
            "id": _VERSION,
            "template_id": _TEMPLATE,
            "version": "v1.0",
            "content": "Hello",
            "content_hash": "hash",
        },
        "prompt_labels": {**_OF_TENANT, "template_id": _TEMPLATE, "label": "production", "version_id": _VERSION},
    },
    "0017": {},
    "0018": {},
    "0019": {},
    "0020": {},
    "0021": {},
    "0022": {},
    "0023": {},
    "0024": {},
    "0025": {"sign_in_guesses": {**_OF_USER, "address": "192.0.2.1"}},
    "0026": {},
    "0027": {},
    "0028": {},
    "0029": {},
    "0030": {},
    "0031": {},
    "0032": {},
    "0033": {},
    "0034": {},
    "0035": {
        "tenant_slots": _OF_TENANT,
        "tenant_jobs": {**_OF_TENANT, "entrypoint": "mail/1", "payload": {}},
    },
    "0036": {},
    "0037": {},
    "0038": {
        "quota_holds": {
            **_OF_TENANT,
            "window_kinds": [_LIMIT["window_kind"]],
            "window_starts": [_LIMIT["window_start"]],
            "subjects": [_LIMIT["subject"]],
            "kinds": [_LIMIT["kind"]],
            "amounts": [5],
            "expires_at": _THEN,
        },
    },
    "0039": {},
    "0040": {},
    "0041": {},
    "0042": {},
    "0043": {},
    "0044": {
        "knowledge_bases": {
            **_OF_TENANT,
            "id": _BASE,
            "name": "Papers",
            "default_embedding_model": "local-embedding",
            "embedding_dimensions": 256,
            "chunk_size": 512,
            "chunk_overlap": 64,
        },
        "knowledge_documents": {
            **_OF_BASE,
            "id": _DOCUMENT,
            "source_type": "text",
            "source_uri": "blob:hash",
            "file_size": 1,
            "file_mime_type": "text/plain",
            "file_hash": "hash",
        },
        "document_blobs": {
            **_OF_BASE,
            "id": _BLOB,
            "document_id": _DOCUMENT,
            "described": {},
            "size": 1,
            "hash": "hash",
        },
        "document_blob_parts": {**_OF_TENANT, "blob_id": _BLOB, "part": 0, "bytes": _BYTES},
        "knowledge_chunks": {
            **_OF_BASE,
            "document_id": _DOCUMENT,
            "document_revision": 1,
            "generation": 1,
            "chunk_index": 0,
            "content": "Words",
            "start_offset": 0,
            "end_offset": 5,
            "dimensions": 256,
            "embedding_model": "local-embedding",
            "search_vector": "'words':1",
        },
        "rag_query_logs": {
            **_OF_USER,
            "knowledge_base_ids": [_BASE],
            "query_text": "Which words?",
            "mode": "hybrid",
            "top_k": 10,
            "retrieved_count": 0,
        },
    },
    "0045": {
        "knowledge_word_totals": {**_OF_BASE, "generation": 1, "chunk_count": 1, "word_count": 1},
        "knowledge_words": {**_OF_BASE, "generation": 1, "word": "words", "chunk_count": 1},
    },
    "0046": {
        "knowledge_generations": {
            **_OF_BASE,
            "generation": 2,
            "embedding_model": "local-embedding",
            "embedding_dimensions": 256,
            "chunk_size": 256,
            "chunk_overlap": 32,
            "status": "building",
        },
        "knowledge_builds": {**_OF_BASE, "generation": 2, "document_id": _DOCUMENT, "document_revision": 1},
    },
    "0047": {
        "workflows": {
            **_OF_TENANT,
            "id": _WORKFLOW,
            "owner_user_id": _USER,
            "name": "Report",
            "definition": _DEFINITION,
            "version": "v1.0",
        },
        "workflow_versions": {
            **_OF_TENANT,
            "workflow_id": _WORKFLOW,
            "version": "v1.0",
            "definition": _DEFINITION,
            "created_by": _USER,
        },
        "workflow_executions": {
            **_OF_USER,
            "id": _EXECUTION,
            "workflow_id": _WORKFLOW,
            "workflow_version": "v1.0",
            "definition": _DEFINITION,
        },
        "workflow_tasks": {**_OF_EXECUTION, "step_id": "one", "step_type": "transform"},
        "execution_events": {**_OF_EXECUTION, "seq": 1, "event_type": "started", "payload": {}},
    },
    "0048": {},
    "0049": {
        "agent_configs": {
            **_OF_TENANT,
            "name": "Ann",
            "prompt_template_id": _TEMPLATE,
            "prompt_label": "production",
            "knowledge_base_ids": [_BASE],
            "tools": [{"name": "look_up", "description": "", "parameters": {}}],
            "max_turns": 4,
        },
    },
    "0050": {},
    "0051": {"call_journal": {**_OF_TENANT, "call_log_id": _MODEL, "records": [], "holds": []}},
    "0052": {},
    "0053": {},
    "0054": {"tenant_model_prices": {**_OF_TENANT, "model_id": _OWN_MODEL, **_PRICE}},
    "0055": {},
}


def rows_up_to(revision: str) -> dict[str, dict[str, Any]]:
    return {table: row for name, tables in ROWS.items() if name <= revision for table, row in tables.items()}


async def fill(scratch: Scratch, revision: str) -> None:
    """Puts a row into every table that there is at the revision."""
    async with scratch.connect(scratch.owner_url) as owner:
        await fill_over(owner, revision)


async def fill_over(connection: Any, revision: str) -> None:
    """The same over a connection that may."""
    for table, row in rows_up_to(revision).items():
        await _insert(connection, table, row)


_ID = re.compile(r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{8})[0-9a-f]{2}([0-9a-f]{2})\b")
_NAMES = ("name", "slug", "action", "kid")
"""Of these there is one in the whole database, in some table."""


async def fill_beside(scratch: Scratch, revision: str) -> None:
    """Puts a row into every table that there is at the revision, beside those that others did: people of another
    tenant, with other ids. What the revision makes has the names that seeds have too.
    """
    async with scratch.connect(scratch.owner_url) as owner:
        for table, row in rows_up_to(revision).items():
            own = json.loads(_ID.sub(rf"\g<1>{revision[2:]}\2", json.dumps(row)))
            if table not in ROWS[revision]:
                own |= {name: f"{own[name]}-{revision}" for name in _NAMES if name in own}
            await _insert(owner, table, own)


async def _insert(connection: Any, table: str, row: dict[str, Any]) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    record = f"jsonb_populate_record(NULL::{table}, $1::jsonb)"
    await connection.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {record}", json.dumps(row))


async def fill_tenant(connection: Any, tenant_id: str) -> set[str]:
    """Puts a row of a tenant that is there into every table of tenants; the names of these tables."""
    permission = await connection.fetchval("SELECT id::text FROM permissions LIMIT 1")
    found = {table: row for tables in ROWS.values() for table, row in tables.items() if "tenant_id" in row}
    for table, row in found.items():
        values = {**row, "tenant_id": tenant_id}
        if table == "role_permissions":
            values["permission_id"] = permission
        if table != "tenant_configs":  # which a tenant has from its beginning
            await _insert(connection, table, values)
    return set(found)
