"""The requests that name an object by its id, and the ids in requests that name none."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import Message

from atrium.audit.v1 import audit_log_pb2
from atrium.identity.v1 import api_key_pb2, permission_pb2, role_pb2, session_pb2, user_pb2
from atrium.knowledge.v1 import chunk_pb2, document_pb2, knowledge_base_pb2, search_pb2
from atrium.model.v1 import (
    call_log_pb2,
    chat_pb2,
    credential_pb2,
    model_pb2,
    route_pb2,
    stream_pb2,
    tenant_model_pb2,
    usage_pb2,
)
from atrium.prompt.v1 import label_pb2, template_pb2, version_pb2
from atrium.prompt.v1 import prompt_service_pb2 as prompt
from atrium.tenant.v1 import export_pb2, tenant_config_pb2, tenant_pb2
from atrium.tenant.v1 import usage_pb2 as tenant_usage_pb2
from atrium.workflow.v1 import agent_pb2, agent_run_pb2, execution_pb2, task_pb2, workflow_pb2
from tests.rpc.methods import AUDIT, IDENTITY, KNOWLEDGE, MODEL, PROMPT, TENANT, WORKFLOW

FREE = model_pb2.ModelPrice(input_cost_per_1k="0", output_cost_per_1k="0")

_HELLO = {"role": 2, "content": "Hello"}
_NO_ID = "01890a5d-ac96-774b-bcce-b302099a8059"


def _searched(base_id: str) -> search_pb2.SearchQuery:
    return search_pb2.SearchQuery(knowledge_base_ids=[base_id], query="Theirs?")


BY_USER: dict[str, Callable[[str], Message]] = {
    IDENTITY + "GetUser": lambda it: user_pb2.GetUserRequest(id=it),
    IDENTITY + "UpdateUser": lambda it: user_pb2.UpdateUserRequest(id=it, full_name="Mallory"),
    IDENTITY + "ListRoles": lambda it: role_pb2.ListRolesRequest(user_id=it),
    IDENTITY + "CheckPermission": lambda it: permission_pb2.CheckPermissionRequest(
        user_id=it, permissions=["users:read"]
    ),
    IDENTITY + "DeleteUser": lambda it: user_pb2.DeleteUserRequest(id=it),
    IDENTITY + "RestoreUser": lambda it: user_pb2.RestoreUserRequest(id=it),
    IDENTITY + "LockUser": lambda it: user_pb2.LockUserRequest(id=it),
    IDENTITY + "UnlockUser": lambda it: user_pb2.UnlockUserRequest(id=it),
    IDENTITY + "ListSessions": lambda it: session_pb2.ListSessionsRequest(user_id=it),
    IDENTITY + "ListApiKeys": lambda it: api_key_pb2.ListApiKeysRequest(user_id=it),
    IDENTITY + "CreateApiKey": lambda it: api_key_pb2.CreateApiKeyRequest(
        name="key", user_id=it, scopes=["users:read"]
    ),
    IDENTITY + "AssignRole": lambda it: role_pb2.AssignRoleRequest(user_id=it, role_id=_NO_ID),
    IDENTITY + "UnassignRole": lambda it: role_pb2.UnassignRoleRequest(user_id=it, role_id=_NO_ID),
    MODEL + "SetModelLimits": lambda it: usage_pb2.SetModelLimitsRequest(user_id=it),
    MODEL + "GetModelLimits": lambda it: usage_pb2.GetModelLimitsRequest(user_id=it),
}
BY_ROLE: dict[str, Callable[[str], Message]] = {
    IDENTITY + "GetRole": lambda it: role_pb2.GetRoleRequest(id=it),
    IDENTITY + "UpdateRole": lambda it: role_pb2.UpdateRoleRequest(id=it, name="Mine"),
    IDENTITY + "SetRolePermissions": lambda it: role_pb2.SetRolePermissionsRequest(role_id=it),
    IDENTITY + "DeleteRole": lambda it: role_pb2.DeleteRoleRequest(id=it),
    IDENTITY + "RestoreRole": lambda it: role_pb2.RestoreRoleRequest(id=it),
    IDENTITY + "AssignRole": lambda it: role_pb2.AssignRoleRequest(user_id=_NO_ID, role_id=it),
    IDENTITY + "UnassignRole": lambda it: role_pb2.UnassignRoleRequest(user_id=_NO_ID, role_id=it),
}
BY_SESSION: dict[str, Callable[[str], Message]] = {
    IDENTITY + "RevokeSession": lambda it: session_pb2.RevokeSessionRequest(id=it),
}
BY_KEY: dict[str, Callable[[str], Message]] = {
    IDENTITY + "RotateApiKey": lambda it: api_key_pb2.RotateApiKeyRequest(id=it),
    IDENTITY + "RevokeApiKey": lambda it: api_key_pb2.RevokeApiKeyRequest(id=it),
    MODEL + "SetModelLimits": lambda it: usage_pb2.SetModelLimitsRequest(api_key_id=it),
    MODEL + "GetModelLimits": lambda it: usage_pb2.GetModelLimitsRequest(api_key_id=it),
}
BY_CREDENTIAL: dict[str, Callable[[str], Message]] = {
    MODEL + "RotateCredential": lambda it: credential_pb2.RotateCredentialRequest(id=it, secret="sk-of-a-test"),
    MODEL + "DeleteCredential": lambda it: credential_pb2.DeleteCredentialRequest(id=it),
}
BY_TENANT_MODEL: dict[str, Callable[[str], Message]] = {
    MODEL + "GetTenantModel": lambda it: tenant_model_pb2.GetTenantModelRequest(id=it),
    MODEL + "UpdateTenantModel": lambda it: tenant_model_pb2.UpdateTenantModelRequest(id=it, description="Mine"),
    MODEL + "SetTenantModelPrice": lambda it: tenant_model_pb2.SetTenantModelPriceRequest(model_id=it, price=FREE),
    MODEL + "DeleteTenantModel": lambda it: tenant_model_pb2.DeleteTenantModelRequest(id=it),
}
BY_ROUTE: dict[str, Callable[[str], Message]] = {
    MODEL + "GetRoute": lambda it: route_pb2.GetRouteRequest(id=it),
    MODEL + "UpdateRoute": lambda it: route_pb2.UpdateRouteRequest(id=it, alias="mine"),
    MODEL + "DeleteRoute": lambda it: route_pb2.DeleteRouteRequest(id=it),
}
BY_CALL_LOG: dict[str, Callable[[str], Message]] = {
    MODEL + "GetCallLog": lambda it: call_log_pb2.GetCallLogRequest(id=it),
}
BY_AUDIT_LOG: dict[str, Callable[[str], Message]] = {
    AUDIT + "GetAuditLog": lambda it: audit_log_pb2.GetAuditLogRequest(id=it),
}
BY_LIMITS: dict[str, Callable[[str], Message]] = {
    MODEL + "DeleteModelLimits": lambda it: usage_pb2.DeleteModelLimitsRequest(id=it),
}
BY_TEMPLATE: dict[str, Callable[[str], Message]] = {
    PROMPT + "GetTemplate": lambda it: template_pb2.GetTemplateRequest(id=it),
    PROMPT + "UpdateTemplate": lambda it: template_pb2.UpdateTemplateRequest(id=it, name="Mine"),
    PROMPT + "DeleteTemplate": lambda it: template_pb2.DeleteTemplateRequest(id=it),
    PROMPT + "RestoreTemplate": lambda it: template_pb2.RestoreTemplateRequest(id=it),
    PROMPT + "CreateVersion": lambda it: version_pb2.CreateVersionRequest(template_id=it, text="Mine"),
    PROMPT + "GetVersion": lambda it: version_pb2.GetVersionRequest(template_id=it),
    PROMPT + "ListVersions": lambda it: version_pb2.ListVersionsRequest(template_id=it),
    PROMPT + "DiffVersions": lambda it: version_pb2.DiffVersionsRequest(
        template_id=it, from_version="v1.0", to_version="v1.1"
    ),
    PROMPT + "SetLabel": lambda it: label_pb2.SetLabelRequest(
        template_id=it, label="production", targets=[{"version": "v1.0"}]
    ),
    PROMPT + "RemoveLabel": lambda it: label_pb2.RemoveLabelRequest(template_id=it, label="production"),
    PROMPT + "ListLabels": lambda it: label_pb2.ListLabelsRequest(template_id=it),
    PROMPT + "RenderPrompt": lambda it: prompt.RenderPromptRequest(template_id=it),
    PROMPT + "GetTemplateStats": lambda it: prompt.GetTemplateStatsRequest(template_id=it),
    MODEL + "Chat": lambda it: chat_pb2.ChatRequest(model="local-chat", prompt={"template_id": it}),
    MODEL + "StreamChat": lambda it: stream_pb2.StreamChatRequest(model="local-chat", prompt={"template_id": it}),
}
BY_KNOWLEDGE_BASE: dict[str, Callable[[str], Message]] = {
    KNOWLEDGE + "GetKnowledgeBase": lambda it: knowledge_base_pb2.GetKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "UpdateKnowledgeBase": lambda it: knowledge_base_pb2.UpdateKnowledgeBaseRequest(id=it, name="Mine"),
    KNOWLEDGE + "ArchiveKnowledgeBase": lambda it: knowledge_base_pb2.ArchiveKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "ActivateKnowledgeBase": lambda it: knowledge_base_pb2.ActivateKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "DeleteKnowledgeBase": lambda it: knowledge_base_pb2.DeleteKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "RestoreKnowledgeBase": lambda it: knowledge_base_pb2.RestoreKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "ReindexKnowledgeBase": lambda it: knowledge_base_pb2.ReindexKnowledgeBaseRequest(id=it),
    KNOWLEDGE + "RollbackReindex": lambda it: knowledge_base_pb2.RollbackReindexRequest(id=it),
    KNOWLEDGE + "IngestText": lambda it: document_pb2.IngestTextRequest(knowledge_base_id=it, text="Mine"),
    KNOWLEDGE + "IngestUrl": lambda it: document_pb2.IngestUrlRequest(knowledge_base_id=it, url="https://example.com/"),
    KNOWLEDGE + "StartUpload": lambda it: document_pb2.StartUploadRequest(knowledge_base_id=it),
    KNOWLEDGE + "ListDocuments": lambda it: document_pb2.ListDocumentsRequest(knowledge_base_id=it),
    KNOWLEDGE + "Search": lambda it: search_pb2.SearchRequest(query=_searched(it)),
    KNOWLEDGE + "Ask": lambda it: search_pb2.AskRequest(query=_searched(it), model="local-chat"),
}
BY_DOCUMENT: dict[str, Callable[[str], Message]] = {
    KNOWLEDGE + "RetryDocument": lambda it: document_pb2.RetryDocumentRequest(id=it),
    KNOWLEDGE + "GetDocument": lambda it: document_pb2.GetDocumentRequest(id=it),
    KNOWLEDGE + "UpdateDocument": lambda it: document_pb2.UpdateDocumentRequest(id=it, title="Mine"),
    KNOWLEDGE + "DeleteDocument": lambda it: document_pb2.DeleteDocumentRequest(id=it),
    KNOWLEDGE + "RestoreDocument": lambda it: document_pb2.RestoreDocumentRequest(id=it),
    KNOWLEDGE + "DownloadDocument": lambda it: document_pb2.DownloadDocumentRequest(id=it),
    KNOWLEDGE + "WatchIngestion": lambda it: document_pb2.WatchIngestionRequest(document_ids=[it]),
    KNOWLEDGE + "ListChunks": lambda it: chunk_pb2.ListChunksRequest(document_id=it),
    KNOWLEDGE + "UpdateChunk": lambda it: chunk_pb2.UpdateChunkRequest(document_id=it, id=_NO_ID, enabled=False),
}
BY_UPLOAD: dict[str, Callable[[str], Message]] = {
    KNOWLEDGE + "GetUpload": lambda it: document_pb2.GetUploadRequest(id=it),
    KNOWLEDGE + "UploadDocument": lambda it: document_pb2.UploadDocumentRequest(place={"upload_id": it}),
}
BY_WORKFLOW: dict[str, Callable[[str], Message]] = {
    WORKFLOW + "GetWorkflow": lambda it: workflow_pb2.GetWorkflowRequest(id=it),
    WORKFLOW + "UpdateWorkflow": lambda it: workflow_pb2.UpdateWorkflowRequest(id=it, name="Mine"),
    WORKFLOW + "DeleteWorkflow": lambda it: workflow_pb2.DeleteWorkflowRequest(id=it),
    WORKFLOW + "RestoreWorkflow": lambda it: workflow_pb2.RestoreWorkflowRequest(id=it),
    WORKFLOW + "ListWorkflowVersions": lambda it: workflow_pb2.ListWorkflowVersionsRequest(workflow_id=it),
    WORKFLOW + "ExecuteWorkflow": lambda it: execution_pb2.ExecuteWorkflowRequest(workflow_id=it),
}
BY_EXECUTION: dict[str, Callable[[str], Message]] = {
    WORKFLOW + "GetExecution": lambda it: execution_pb2.GetExecutionRequest(id=it),
    WORKFLOW + "WatchExecution": lambda it: execution_pb2.WatchExecutionRequest(id=it),
    WORKFLOW + "PauseExecution": lambda it: execution_pb2.PauseExecutionRequest(id=it),
    WORKFLOW + "ResumeExecution": lambda it: execution_pb2.ResumeExecutionRequest(id=it),
    WORKFLOW + "CancelExecution": lambda it: execution_pb2.CancelExecutionRequest(id=it),
    WORKFLOW + "ReplayExecution": lambda it: execution_pb2.ReplayExecutionRequest(id=it),
    WORKFLOW + "GetLineage": lambda it: execution_pb2.GetLineageRequest(id=it),
    WORKFLOW + "ListTasks": lambda it: task_pb2.ListTasksRequest(execution_id=it),
    WORKFLOW + "CompleteTask": lambda it: task_pb2.CompleteTaskRequest(execution_id=it, id=_NO_ID, decision=1),
}
BY_AGENT: dict[str, Callable[[str], Message]] = {
    WORKFLOW + "RunAgent": lambda it: agent_run_pb2.RunAgentRequest(agent_id=it, messages=[_HELLO]),
    WORKFLOW + "GetAgent": lambda it: agent_pb2.GetAgentRequest(id=it),
    WORKFLOW + "UpdateAgent": lambda it: agent_pb2.UpdateAgentRequest(id=it, name="Mine"),
    WORKFLOW + "DeleteAgent": lambda it: agent_pb2.DeleteAgentRequest(id=it),
    WORKFLOW + "RestoreAgent": lambda it: agent_pb2.RestoreAgentRequest(id=it),
}
BY_GENERATION: dict[str, Callable[[str], Message]] = {
    MODEL + "StreamChat": lambda it: stream_pb2.StreamChatRequest(generation_id=it),
    MODEL + "CancelGeneration": lambda it: stream_pb2.CancelGenerationRequest(generation_id=it),
}
BY_TENANT: dict[str, Callable[[str], Message]] = {
    TENANT + "GetTenant": lambda it: tenant_pb2.GetTenantRequest(id=it),
    TENANT + "UpdateTenant": lambda it: tenant_pb2.UpdateTenantRequest(id=it, name="Mine"),
    TENANT + "GetTenantConfig": lambda it: tenant_config_pb2.GetTenantConfigRequest(tenant_id=it),
    TENANT + "UpdateTenantConfig": lambda it: tenant_config_pb2.UpdateTenantConfigRequest(
        tenant_id=it, temperature=1.0
    ),
    TENANT + "GetUsage": lambda it: tenant_usage_pb2.GetUsageRequest(tenant_id=it),
    TENANT + "ExportTenant": lambda it: export_pb2.ExportTenantRequest(tenant_id=it),
}

BY_ID = {
    "user": BY_USER,
    "role": BY_ROLE,
    "session": BY_SESSION,
    "key": BY_KEY,
    "credential": BY_CREDENTIAL,
    "tenant_model": BY_TENANT_MODEL,
    "route": BY_ROUTE,
    "call_log": BY_CALL_LOG,
    "audit_log": BY_AUDIT_LOG,
    "limits": BY_LIMITS,
    "template": BY_TEMPLATE,
    "knowledge_base": BY_KNOWLEDGE_BASE,
    "document": BY_DOCUMENT,
    "upload": BY_UPLOAD,
    "workflow": BY_WORKFLOW,
    "execution": BY_EXECUTION,
    "agent": BY_AGENT,
    "generation": BY_GENERATION,
    "tenant": BY_TENANT,
}
"""Requests that name an object by its id, by what it is."""

NO_OBJECT = {
    ("/atrium.prompt.v1.PromptService/WatchPrompts", "watch_id"): "a watch that is not known begins anew, with `reset`",
    (
        AUDIT + "VerifyAuditLogs",
        "known_checkpoint.id",
    ): "one that is not the tenant's is one that is not there: a finding",
    **dict.fromkeys(
        (
            *(
                (AUDIT + method, f"filter.{field}")
                for method in ("ListAuditLogs", "ExportAuditLogs", "WatchAuditLogs")
                for field in ("request_id", "resource_id", "session_id", "user_id")
            ),
            (MODEL + "GetModelUsage", "api_key_id"),
            (MODEL + "GetModelUsage", "model_id"),
            (MODEL + "GetModelUsage", "prompt_version_id"),
            (MODEL + "GetModelUsage", "user_id"),
            (MODEL + "ListCallLogs", "api_key_id"),
            (MODEL + "ListCallLogs", "model_id"),
            (MODEL + "ListCallLogs", "trace_id"),
            (MODEL + "ListCallLogs", "user_id"),
            (MODEL + "ListCallLogs", "workflow_execution_id"),
            (PROMPT + "ListTemplates", "owner_user_id"),
            (KNOWLEDGE + "ListKnowledgeBases", "owner_user_id"),
            (KNOWLEDGE + "ListQueryLogs", "trace_id"),
            (KNOWLEDGE + "ListQueryLogs", "user_id"),
            (KNOWLEDGE + "Search", "query.document_ids"),
            (KNOWLEDGE + "Ask", "query.document_ids"),
            (PROMPT + "WatchPrompts", "template_ids"),
            (WORKFLOW + "ListWorkflows", "owner_user_id"),
            (WORKFLOW + "ListExecutions", "trace_id"),
            (WORKFLOW + "ListExecutions", "workflow_id"),
        ),
        "a filter: it finds what is the tenant's, or nothing",
    ),
    **dict.fromkeys(
        ((KNOWLEDGE + "Search", "query.session_id"), (KNOWLEDGE + "Ask", "query.session_id")),
        "the caller's own: it ties records together, and nothing is looked up by it",
    ),
    **dict.fromkeys(
        (
            (MODEL + "Chat", "messages.tool_call_id"),
            (MODEL + "Chat", "messages.tool_calls.id"),
            (MODEL + "StreamChat", "messages.tool_call_id"),
            (MODEL + "StreamChat", "messages.tool_calls.id"),
            (WORKFLOW + "RunAgent", "messages.tool_call_id"),
            (WORKFLOW + "RunAgent", "messages.tool_calls.id"),
        ),
        "the model's own, within a conversation",
    ),
    **{
        (WORKFLOW + method, f"definition.steps.{field}"): why
        for method in ("CreateWorkflow", "UpdateWorkflow", "ValidateWorkflow")
        for field, why in (
            ("id", "a name within the definition"),
            ("search.knowledge_base_ids", "looked for when it is executed, as whoever executes it sees them"),
            ("agent.agent_id", "likewise"),
            ("chat.prompt.template_id", "likewise"),
        )
    },
    **dict.fromkeys(
        (
            (WORKFLOW + method, field)
            for method in ("CreateAgent", "UpdateAgent")
            for field in ("prompt_template_id", "knowledge_base_ids")
        ),
        "looked for when the agent is run, as whoever runs it sees them",
    ),
    (WORKFLOW + "CompleteTask", "id"): "a task is looked for in its execution, which is not found first",
    (WORKFLOW + "ReplayExecution", "from_step_id"): "a name within the definition",
    (KNOWLEDGE + "UpdateChunk", "id"): "a chunk is looked for in its document, which is not found first",
    (MODEL + "GetModel", "id"): "of the platform's models, which every tenant sees",
}
"""Fields that are called ids, by method, and why no object of a tenant's is looked up by them."""
