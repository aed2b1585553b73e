"""Every method that changes something, as a real call, and those that change nothing, each with its reason."""

from __future__ import annotations

from tests.rpc.changes import (
    agents,
    api_keys,
    executions,
    knowledge,
    models,
    prompts,
    roles,
    sessions,
    tenants,
    users,
    workflows,
)
from tests.rpc.changes.stage import CHANGES
from tests.rpc.methods import AUDIT, IDENTITY, KNOWLEDGE, METHODS, MODEL, PROMPT, TENANT, WORKFLOW

__all__ = [
    "CHANGES",
    "NOTHING",
    "agents",
    "api_keys",
    "executions",
    "knowledge",
    "models",
    "prompts",
    "roles",
    "sessions",
    "tenants",
    "users",
    "workflows",
]

_READS = "it reads"
_CALLS = "it calls a model, or ends such a call: the record of the call tells of it"
NOTHING: dict[str, str] = {
    **{path: _READS for path in METHODS if path.rpartition("/")[2].startswith(("Get", "List"))},
    **dict.fromkeys(
        (
            IDENTITY + "WhoAmI",
            IDENTITY + "CheckPermission",
            PROMPT + "DiffVersions",
            PROMPT + "RenderPrompt",
            PROMPT + "WatchPrompts",
            WORKFLOW + "ValidateWorkflow",
            WORKFLOW + "WatchExecution",
        ),
        _READS,
    ),
    TENANT + "ExportTenant": "it reads, and is told all the same: everything that a tenant has leaves the house",
    **dict.fromkeys(
        (AUDIT + "ExportAuditLogs", AUDIT + "WatchAuditLogs"),
        "it reads, and is told all the same: the log leaves the house",
    ),
    **dict.fromkeys((KNOWLEDGE + method for method in ("DownloadDocument", "WatchIngestion", "Search")), _READS),
    KNOWLEDGE + "Ask": _CALLS,
    WORKFLOW + "RunAgent": _CALLS,
    KNOWLEDGE + "UploadDocument": "a test of its own makes it, of several requests",
    AUDIT + "VerifyAuditLogs": "it reads, and tells of what is not as it was",
    **dict.fromkeys((MODEL + "Chat", MODEL + "StreamChat", MODEL + "CancelGeneration", MODEL + "Embed"), _CALLS),
    IDENTITY + "RefreshToken": (
        "it goes on with a session, whose begin and end are told, and so is a token that comes a second time"
    ),
}
"""Methods that change nothing that the audit log tells of, and why."""
