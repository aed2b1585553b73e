"""A good request for every method, and a malformed one."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from atrium.audit.v1 import audit_log_pb2, ddl_log_pb2, verify_pb2, watch_pb2
from atrium.audit.v1 import export_pb2 as audit_export_pb2
from atrium.identity.v1 import (
    api_key_pb2,
    email_verification_pb2,
    password_pb2,
    permission_pb2,
    role_pb2,
    session_pb2,
    user_pb2,
)
from atrium.knowledge.v1 import chunk_pb2, document_pb2, knowledge_base_pb2, search_pb2
from atrium.model.v1 import (
    call_log_pb2,
    chat_pb2,
    credential_pb2,
    embedding_pb2,
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
from tests.rpc.by_id import BY_ID, FREE
from tests.rpc.malformed import SOME_ID, Malformed
from tests.rpc.methods import AUDIT, IDENTITY, KNOWLEDGE, MODEL, PROMPT, TENANT
from tests.rpc.workflow_requests import GOOD_OF_WORKFLOWS, MALFORMED_OF_WORKFLOWS

HELLO = chat_pb2.ChatMessage(role=chat_pb2.ChatMessage.ROLE_USER, content="Hello")


_BY_ID: dict[str, Any] = {
    "DeleteUser": user_pb2.DeleteUserRequest,
    "RestoreUser": user_pb2.RestoreUserRequest,
    "PurgeUser": user_pb2.PurgeUserRequest,
    "LockUser": user_pb2.LockUserRequest,
    "UnlockUser": user_pb2.UnlockUserRequest,
    "DeleteRole": role_pb2.DeleteRoleRequest,
    "RestoreRole": role_pb2.RestoreRoleRequest,
    "PurgeRole": role_pb2.PurgeRoleRequest,
    "RevokeSession": session_pb2.RevokeSessionRequest,
    "RevokeApiKey": api_key_pb2.RevokeApiKeyRequest,
}
_TENANT_BY_ID: dict[str, Any] = {
    "SuspendTenant": tenant_pb2.SuspendTenantRequest,
    "ActivateTenant": tenant_pb2.ActivateTenantRequest,
    "DeleteTenant": tenant_pb2.DeleteTenantRequest,
    "RestoreTenant": tenant_pb2.RestoreTenantRequest,
    "PurgeTenant": tenant_pb2.PurgeTenantRequest,
}

_SEARCHED = ("query.knowledge_base_ids", "query.query", "query.top_k")

MALFORMED: dict[str, Malformed] = {
    IDENTITY + "Login": Malformed(session_pb2.LoginRequest(tenant="x" * 64), ("tenant", "login", "password")),
    IDENTITY + "RefreshToken": Malformed(session_pb2.RefreshTokenRequest(), ("refresh_token",)),
    IDENTITY + "ChangePassword": Malformed(
        password_pb2.ChangePasswordRequest(new_password="short"), ("current_password", "new_password")
    ),
    IDENTITY + "CreateUser": Malformed(
        user_pb2.CreateUserRequest(username="a b", email="nobody", timezone="/"), ("username", "email", "timezone")
    ),
    IDENTITY + "GetUser": Malformed(user_pb2.GetUserRequest(id="1"), ("id",)),
    IDENTITY + "ListUsers": Malformed(user_pb2.ListUsersRequest(page_size=-1, state=99), ("page_size", "state")),
    IDENTITY + "UpdateUser": Malformed(
        user_pb2.UpdateUserRequest(id="1", update_mask={"paths": ["password_hash"]}), ("id", "update_mask")
    ),
    IDENTITY + "CreateRole": Malformed(
        role_pb2.CreateRoleRequest(name=" ", code="A", priority=-1), ("name", "code", "priority")
    ),
    IDENTITY + "GetRole": Malformed(role_pb2.GetRoleRequest(), ("id",)),
    IDENTITY + "ListRoles": Malformed(role_pb2.ListRolesRequest(page_size=-1, user_id="1"), ("page_size", "user_id")),
    IDENTITY + "UpdateRole": Malformed(role_pb2.UpdateRoleRequest(id="1", priority=2000), ("id", "priority")),
    IDENTITY + "SetRolePermissions": Malformed(role_pb2.SetRolePermissionsRequest(role_id="1"), ("role_id",)),
    IDENTITY + "AssignRole": Malformed(role_pb2.AssignRoleRequest(user_id="1"), ("user_id", "role_id")),
    IDENTITY + "UnassignRole": Malformed(role_pb2.UnassignRoleRequest(user_id="1"), ("user_id", "role_id")),
    IDENTITY + "CheckPermission": Malformed(permission_pb2.CheckPermissionRequest(), ("permissions",)),
    IDENTITY + "RequestPasswordReset": Malformed(
        password_pb2.RequestPasswordResetRequest(tenant="x" * 64), ("tenant", "login")
    ),
    IDENTITY + "ResetPassword": Malformed(
        password_pb2.ResetPasswordRequest(new_password="short"), ("token", "new_password")
    ),
    IDENTITY + "VerifyEmail": Malformed(email_verification_pb2.VerifyEmailRequest(), ("token",)),
    **{IDENTITY + name: Malformed(make(id="1"), ("id",)) for name, make in _BY_ID.items()},
    **{TENANT + name: Malformed(make(id="1"), ("id",)) for name, make in _TENANT_BY_ID.items()},
    IDENTITY + "ListSessions": Malformed(
        session_pb2.ListSessionsRequest(page_size=-1, user_id="1"), ("page_size", "user_id")
    ),
    IDENTITY + "ListApiKeys": Malformed(
        api_key_pb2.ListApiKeysRequest(page_size=-1, user_id="1"), ("page_size", "user_id")
    ),
    MODEL + "ListCredentials": Malformed(credential_pb2.ListCredentialsRequest(page_size=-1), ("page_size",)),
    MODEL + "CreateCredential": Malformed(
        credential_pb2.CreateCredentialRequest(name=" ", base_url="x", secret="short", idempotency_key="x" * 129),
        ("provider", "name", "base_url", "secret", "idempotency_key"),
    ),
    MODEL + "RotateCredential": Malformed(
        credential_pb2.RotateCredentialRequest(id="1", etag="x" * 65), ("id", "secret", "etag")
    ),
    MODEL + "DeleteCredential": Malformed(
        credential_pb2.DeleteCredentialRequest(id="1", etag="x" * 65), ("id", "etag")
    ),
    IDENTITY + "CreateApiKey": Malformed(
        api_key_pb2.CreateApiKeyRequest(name=" ", user_id="1", expire_time={"seconds": 1}, idempotency_key="x" * 129),
        ("name", "user_id", "scopes", "expire_time", "idempotency_key"),
    ),
    IDENTITY + "RotateApiKey": Malformed(
        api_key_pb2.RotateApiKeyRequest(id="1", grace={"seconds": 10**8}), ("id", "grace")
    ),
    TENANT + "GetUsage": Malformed(tenant_usage_pb2.GetUsageRequest(tenant_id="1"), ("tenant_id",)),
    TENANT + "ExportTenant": Malformed(export_pb2.ExportTenantRequest(tenant_id="1"), ("tenant_id",)),
    TENANT + "CreateTenant": Malformed(
        tenant_pb2.CreateTenantRequest(slug="-a", name="", tier=9), ("slug", "name", "tier", "administrator")
    ),
    TENANT + "GetTenant": Malformed(tenant_pb2.GetTenantRequest(id="1"), ("id",)),
    TENANT + "ListTenants": Malformed(tenant_pb2.ListTenantsRequest(page_size=-5), ("page_size",)),
    TENANT + "UpdateTenant": Malformed(
        tenant_pb2.UpdateTenantRequest(id="1", contact_email="x"), ("id", "contact_email")
    ),
    TENANT + "GetTenantConfig": Malformed(tenant_config_pb2.GetTenantConfigRequest(tenant_id="1"), ("tenant_id",)),
    TENANT + "UpdateTenantConfig": Malformed(
        tenant_config_pb2.UpdateTenantConfigRequest(temperature=2.5, max_tokens_per_request=0),
        ("max_tokens_per_request", "temperature"),
    ),
    MODEL + "ListModels": Malformed(model_pb2.ListModelsRequest(page_size=-1, type=9), ("page_size", "type")),
    MODEL + "GetModel": Malformed(model_pb2.GetModelRequest(id="1"), ("id",)),
    MODEL + "CreateModel": Malformed(model_pb2.CreateModelRequest(name="?"), ("name", "provider", "type", "price")),
    MODEL + "UpdateModel": Malformed(
        model_pb2.UpdateModelRequest(id="1", max_tokens=0, etag="x" * 65), ("id", "etag", "max_tokens")
    ),
    MODEL + "SetModelPrice": Malformed(
        model_pb2.SetModelPriceRequest(model_id="1", idempotency_key="x" * 129),
        ("model_id", "price", "idempotency_key"),
    ),
    MODEL + "CreateTenantModel": Malformed(
        tenant_model_pb2.CreateTenantModelRequest(name="?"), ("name", "provider", "type", "price")
    ),
    MODEL + "GetTenantModel": Malformed(tenant_model_pb2.GetTenantModelRequest(id="1"), ("id",)),
    MODEL + "ListTenantModels": Malformed(tenant_model_pb2.ListTenantModelsRequest(page_size=-1), ("page_size",)),
    MODEL + "UpdateTenantModel": Malformed(
        tenant_model_pb2.UpdateTenantModelRequest(id="1", base_url="x"), ("id", "base_url")
    ),
    MODEL + "SetTenantModelPrice": Malformed(
        tenant_model_pb2.SetTenantModelPriceRequest(model_id="1", idempotency_key="x" * 129),
        ("model_id", "price", "idempotency_key"),
    ),
    MODEL + "DeleteTenantModel": Malformed(
        tenant_model_pb2.DeleteTenantModelRequest(id="1", etag="x" * 65), ("id", "etag")
    ),
    MODEL + "CreateRoute": Malformed(
        route_pb2.CreateRouteRequest(alias="?", cooldown={"seconds": 9999}, idempotency_key="x" * 129),
        ("alias", "targets", "cooldown", "idempotency_key"),
    ),
    MODEL + "GetRoute": Malformed(route_pb2.GetRouteRequest(id="1"), ("id",)),
    MODEL + "ListRoutes": Malformed(route_pb2.ListRoutesRequest(page_size=-1), ("page_size",)),
    MODEL + "UpdateRoute": Malformed(
        route_pb2.UpdateRouteRequest(id="1", targets=[{"model": ""}]), ("id", "targets[0].model")
    ),
    MODEL + "DeleteRoute": Malformed(route_pb2.DeleteRouteRequest(id="1", etag="x" * 65), ("id", "etag")),
    MODEL + "CancelGeneration": Malformed(stream_pb2.CancelGenerationRequest(generation_id="1"), ("generation_id",)),
    AUDIT + "GetAuditLog": Malformed(audit_log_pb2.GetAuditLogRequest(id="1"), ("id",)),
    AUDIT + "ListAuditLogs": Malformed(
        audit_log_pb2.ListAuditLogsRequest(page_size=-1, filter={"user_id": "1", "ip_network": "x"}),
        ("page_size", "filter.user_id", "filter.ip_network"),
    ),
    AUDIT + "WatchAuditLogs": Malformed(
        watch_pb2.WatchAuditLogsRequest(filter={"resource_id": "1"}), ("filter.resource_id",)
    ),
    AUDIT + "ListDdlLogs": Malformed(ddl_log_pb2.ListDdlLogsRequest(page_size=-1), ("page_size",)),
    AUDIT + "VerifyAuditLogs": Malformed(
        verify_pb2.VerifyAuditLogsRequest(page_size=-1, known_checkpoint={"id": "1", "hash": b"h"}),
        ("page_size", "known_checkpoint.id", "known_checkpoint.hash"),
    ),
    AUDIT + "ExportAuditLogs": Malformed(
        audit_export_pb2.ExportAuditLogsRequest(filter={"resource_id": "1"}), ("filter.resource_id",)
    ),
    MODEL + "GetCallLog": Malformed(call_log_pb2.GetCallLogRequest(id="1"), ("id",)),
    MODEL + "SetModelLimits": Malformed(
        usage_pb2.SetModelLimitsRequest(user_id="1", parallel_calls=-1), ("user_id", "parallel_calls")
    ),
    MODEL + "GetModelLimits": Malformed(usage_pb2.GetModelLimitsRequest(user_id="1"), ("user_id",)),
    MODEL + "ListModelLimits": Malformed(usage_pb2.ListModelLimitsRequest(page_size=-1), ("page_size",)),
    MODEL + "DeleteModelLimits": Malformed(usage_pb2.DeleteModelLimitsRequest(id="1", etag="x" * 65), ("id", "etag")),
    MODEL + "GetModelUsage": Malformed(
        usage_pb2.GetModelUsageRequest(model_id="1", limit=10_001), ("model_id", "limit")
    ),
    MODEL + "Chat": Malformed(chat_pb2.ChatRequest(temperature=float("nan")), ("messages", "temperature")),
    MODEL + "StreamChat": Malformed(stream_pb2.StreamChatRequest(max_tokens=0), ("messages", "max_tokens")),
    MODEL + "Embed": Malformed(embedding_pb2.EmbedRequest(inputs=["a", ""]), ("inputs[1]",)),
    MODEL + "ListCallLogs": Malformed(
        call_log_pb2.ListCallLogsRequest(trace_id="g", user_id="1"), ("user_id", "trace_id")
    ),
    KNOWLEDGE + "CreateKnowledgeBase": Malformed(
        knowledge_base_pb2.CreateKnowledgeBaseRequest(name=" ", visibility=9, chunk_size=1),
        ("name", "visibility", "chunk_size"),
    ),
    KNOWLEDGE + "GetKnowledgeBase": Malformed(knowledge_base_pb2.GetKnowledgeBaseRequest(id="1"), ("id",)),
    KNOWLEDGE + "ListKnowledgeBases": Malformed(
        knowledge_base_pb2.ListKnowledgeBasesRequest(page_size=-1, owner_user_id="1"), ("page_size", "owner_user_id")
    ),
    KNOWLEDGE + "UpdateKnowledgeBase": Malformed(
        knowledge_base_pb2.UpdateKnowledgeBaseRequest(id="1", name="", etag="x" * 65), ("id", "name", "etag")
    ),
    KNOWLEDGE + "ArchiveKnowledgeBase": Malformed(
        knowledge_base_pb2.ArchiveKnowledgeBaseRequest(id="1", etag="x" * 65), ("id", "etag")
    ),
    KNOWLEDGE + "ActivateKnowledgeBase": Malformed(
        knowledge_base_pb2.ActivateKnowledgeBaseRequest(id="1", etag="x" * 65), ("id", "etag")
    ),
    KNOWLEDGE + "DeleteKnowledgeBase": Malformed(
        knowledge_base_pb2.DeleteKnowledgeBaseRequest(id="1", etag="x" * 65), ("id", "etag")
    ),
    KNOWLEDGE + "RestoreKnowledgeBase": Malformed(knowledge_base_pb2.RestoreKnowledgeBaseRequest(id="1"), ("id",)),
    KNOWLEDGE + "ReindexKnowledgeBase": Malformed(
        knowledge_base_pb2.ReindexKnowledgeBaseRequest(id="1", chunk_size=31), ("id", "chunk_size")
    ),
    KNOWLEDGE + "RollbackReindex": Malformed(knowledge_base_pb2.RollbackReindexRequest(id="1"), ("id",)),
    KNOWLEDGE + "PurgeKnowledgeBase": Malformed(knowledge_base_pb2.PurgeKnowledgeBaseRequest(id="1"), ("id",)),
    KNOWLEDGE + "IngestText": Malformed(
        document_pb2.IngestTextRequest(knowledge_base_id="1"), ("knowledge_base_id", "text")
    ),
    KNOWLEDGE + "IngestUrl": Malformed(
        document_pb2.IngestUrlRequest(knowledge_base_id="1", url=" "), ("knowledge_base_id", "url")
    ),
    KNOWLEDGE + "StartUpload": Malformed(
        document_pb2.StartUploadRequest(knowledge_base_id="1", size=-1), ("knowledge_base_id", "size")
    ),
    KNOWLEDGE + "GetUpload": Malformed(document_pb2.GetUploadRequest(id="1"), ("id",)),
    KNOWLEDGE + "UploadDocument": Malformed(
        document_pb2.UploadDocumentRequest(place={"upload_id": "1"}), ("place.upload_id",)
    ),
    KNOWLEDGE + "RetryDocument": Malformed(document_pb2.RetryDocumentRequest(id="1"), ("id",)),
    KNOWLEDGE + "GetDocument": Malformed(document_pb2.GetDocumentRequest(id="1"), ("id",)),
    KNOWLEDGE + "ListDocuments": Malformed(
        document_pb2.ListDocumentsRequest(knowledge_base_id="1", page_size=-1), ("knowledge_base_id", "page_size")
    ),
    KNOWLEDGE + "UpdateDocument": Malformed(document_pb2.UpdateDocumentRequest(id="1", title=""), ("id", "title")),
    KNOWLEDGE + "DeleteDocument": Malformed(document_pb2.DeleteDocumentRequest(id="1", etag="x" * 65), ("id", "etag")),
    KNOWLEDGE + "RestoreDocument": Malformed(document_pb2.RestoreDocumentRequest(id="1"), ("id",)),
    KNOWLEDGE + "PurgeDocument": Malformed(document_pb2.PurgeDocumentRequest(id="1"), ("id",)),
    KNOWLEDGE + "DownloadDocument": Malformed(
        document_pb2.DownloadDocumentRequest(id="1", after_seq=-1), ("id", "after_seq")
    ),
    KNOWLEDGE + "WatchIngestion": Malformed(
        document_pb2.WatchIngestionRequest(document_ids=["1"]), ("document_ids[0]",)
    ),
    KNOWLEDGE + "Search": Malformed(search_pb2.SearchRequest(query={"query": "x" * 8193, "top_k": 0}), _SEARCHED),
    KNOWLEDGE + "Ask": Malformed(search_pb2.AskRequest(query={"query": "x" * 8193, "top_k": 0}), _SEARCHED),
    KNOWLEDGE + "ListQueryLogs": Malformed(
        search_pb2.ListQueryLogsRequest(page_size=-1, user_id="1"), ("page_size", "user_id")
    ),
    KNOWLEDGE + "ListChunks": Malformed(
        chunk_pb2.ListChunksRequest(document_id="1", page_size=-1), ("document_id", "page_size")
    ),
    KNOWLEDGE + "UpdateChunk": Malformed(
        chunk_pb2.UpdateChunkRequest(document_id="1", id="1", content=""), ("document_id", "id", "content")
    ),
    PROMPT + "CreateTemplate": Malformed(
        template_pb2.CreateTemplateRequest(name=" ", visibility=9, idempotency_key="x" * 129),
        ("name", "visibility", "idempotency_key"),
    ),
    PROMPT + "GetTemplate": Malformed(template_pb2.GetTemplateRequest(id="1"), ("id",)),
    PROMPT + "ListTemplates": Malformed(
        template_pb2.ListTemplatesRequest(page_size=-1, owner_user_id="1"), ("page_size", "owner_user_id")
    ),
    PROMPT + "UpdateTemplate": Malformed(
        template_pb2.UpdateTemplateRequest(id="1", name="", etag="x" * 65), ("id", "name", "etag")
    ),
    PROMPT + "DeleteTemplate": Malformed(template_pb2.DeleteTemplateRequest(id="1", etag="x" * 65), ("id", "etag")),
    PROMPT + "RestoreTemplate": Malformed(template_pb2.RestoreTemplateRequest(id="1"), ("id",)),
    PROMPT + "PurgeTemplate": Malformed(template_pb2.PurgeTemplateRequest(id="1"), ("id",)),
    PROMPT + "CreateVersion": Malformed(
        version_pb2.CreateVersionRequest(template_id="1", version="1"), ("template_id", "version", "text")
    ),
    PROMPT + "GetVersion": Malformed(version_pb2.GetVersionRequest(template_id="1"), ("template_id",)),
    PROMPT + "ListVersions": Malformed(
        version_pb2.ListVersionsRequest(template_id="1", page_size=-1), ("template_id", "page_size")
    ),
    PROMPT + "DiffVersions": Malformed(
        version_pb2.DiffVersionsRequest(template_id="1"), ("template_id", "from_version", "to_version")
    ),
    PROMPT + "SetLabel": Malformed(
        label_pb2.SetLabelRequest(template_id="1", label="latest"), ("template_id", "label", "targets")
    ),
    PROMPT + "RemoveLabel": Malformed(label_pb2.RemoveLabelRequest(template_id="1"), ("template_id", "label")),
    PROMPT + "ListLabels": Malformed(label_pb2.ListLabelsRequest(template_id="1"), ("template_id",)),
    PROMPT + "RenderPrompt": Malformed(
        prompt.RenderPromptRequest(template_id="1", version="v" * 51), ("template_id", "version")
    ),
    PROMPT + "WatchPrompts": Malformed(prompt.WatchPromptsRequest(template_ids=["1"]), ("template_ids[0]",)),
    PROMPT + "GetTemplateStats": Malformed(prompt.GetTemplateStatsRequest(template_id="1"), ("template_id",)),
    **MALFORMED_OF_WORKFLOWS,
}
"""Requests without a field, such as Logout, cannot be malformed."""

GOOD: dict[str, Message] = {
    IDENTITY + "Login": session_pb2.LoginRequest(tenant="none", login="none", password="none"),
    IDENTITY + "RefreshToken": session_pb2.RefreshTokenRequest(refresh_token="none"),
    IDENTITY + "Logout": session_pb2.LogoutRequest(),
    IDENTITY + "WhoAmI": session_pb2.WhoAmIRequest(),
    IDENTITY + "GetJwks": session_pb2.GetJwksRequest(),
    IDENTITY + "ChangePassword": password_pb2.ChangePasswordRequest(
        current_password="wrong", new_password="long enough"
    ),
    IDENTITY + "CreateUser": user_pb2.CreateUserRequest(username="new", email="new@example.com"),
    IDENTITY + "ListUsers": user_pb2.ListUsersRequest(),
    IDENTITY + "CreateRole": role_pb2.CreateRoleRequest(name="New", code="new"),
    IDENTITY + "ListPermissions": permission_pb2.ListPermissionsRequest(),
    IDENTITY + "RequestPasswordReset": password_pb2.RequestPasswordResetRequest(tenant="none", login="none"),
    IDENTITY + "ResetPassword": password_pb2.ResetPasswordRequest(token="none", new_password="long enough"),
    IDENTITY + "RequestEmailVerification": email_verification_pb2.RequestEmailVerificationRequest(),
    IDENTITY + "VerifyEmail": email_verification_pb2.VerifyEmailRequest(token="none"),
    TENANT + "CreateTenant": tenant_pb2.CreateTenantRequest(
        slug="new",
        name="New",
        administrator=tenant_pb2.CreateTenantRequest.Administrator(
            username="admin", email="admin@example.com", password="long enough"
        ),
    ),
    TENANT + "ListTenants": tenant_pb2.ListTenantsRequest(),
    MODEL + "ListModels": model_pb2.ListModelsRequest(),
    MODEL + "GetModel": model_pb2.GetModelRequest(id=SOME_ID),
    MODEL + "CreateModel": model_pb2.CreateModelRequest(
        name="new",
        provider=model_pb2.Model.PROVIDER_OPENAI,
        type=model_pb2.Model.TYPE_CHAT,
        price=FREE,
    ),
    MODEL + "UpdateModel": model_pb2.UpdateModelRequest(id=SOME_ID, description="New"),
    MODEL + "SetModelPrice": model_pb2.SetModelPriceRequest(model_id=SOME_ID, price=FREE),
    MODEL + "ListTenantModels": tenant_model_pb2.ListTenantModelsRequest(),
    MODEL + "CreateTenantModel": tenant_model_pb2.CreateTenantModelRequest(
        name="new", provider=model_pb2.Model.PROVIDER_OPENAI, type=model_pb2.Model.TYPE_CHAT, price=FREE
    ),
    MODEL + "ListRoutes": route_pb2.ListRoutesRequest(),
    MODEL + "CreateRoute": route_pb2.CreateRouteRequest(alias="new", targets=[{"model": "gpt-4"}]),
    MODEL + "ListModelLimits": usage_pb2.ListModelLimitsRequest(),
    MODEL + "GetModelUsage": usage_pb2.GetModelUsageRequest(),
    MODEL + "Embed": embedding_pb2.EmbedRequest(model="none", inputs=["a"]),
    MODEL + "ListCallLogs": call_log_pb2.ListCallLogsRequest(),
    AUDIT + "GetAuditLog": audit_log_pb2.GetAuditLogRequest(id=SOME_ID),
    AUDIT + "ListAuditLogs": audit_log_pb2.ListAuditLogsRequest(),
    AUDIT + "ListActions": audit_log_pb2.ListActionsRequest(),
    AUDIT + "ExportAuditLogs": audit_export_pb2.ExportAuditLogsRequest(),
    AUDIT + "VerifyAuditLogs": verify_pb2.VerifyAuditLogsRequest(),
    AUDIT + "WatchAuditLogs": watch_pb2.WatchAuditLogsRequest(),
    AUDIT + "ListDdlLogs": ddl_log_pb2.ListDdlLogsRequest(),
    **{path: make(SOME_ID) for by in BY_ID.values() for path, make in by.items()},
    **GOOD_OF_WORKFLOWS,
    KNOWLEDGE + "CreateKnowledgeBase": knowledge_base_pb2.CreateKnowledgeBaseRequest(
        name="new", embedding_model="local-embedding"
    ),
    KNOWLEDGE + "ListKnowledgeBases": knowledge_base_pb2.ListKnowledgeBasesRequest(),
    KNOWLEDGE + "ListQueryLogs": search_pb2.ListQueryLogsRequest(),
    KNOWLEDGE + "PurgeDocument": document_pb2.PurgeDocumentRequest(id=SOME_ID),
    KNOWLEDGE + "PurgeKnowledgeBase": knowledge_base_pb2.PurgeKnowledgeBaseRequest(id=SOME_ID),
    PROMPT + "CreateTemplate": template_pb2.CreateTemplateRequest(name="new"),
    PROMPT + "ListTemplates": template_pb2.ListTemplatesRequest(),
    PROMPT + "PurgeTemplate": template_pb2.PurgeTemplateRequest(id=SOME_ID),
    PROMPT + "WatchPrompts": prompt.WatchPromptsRequest(),
    MODEL + "ListCredentials": credential_pb2.ListCredentialsRequest(),
    MODEL + "CreateCredential": credential_pb2.CreateCredentialRequest(
        provider=model_pb2.Model.PROVIDER_OPENAI, name="test", secret="sk-of-a-test"
    ),
    IDENTITY + "PurgeUser": user_pb2.PurgeUserRequest(id=SOME_ID),
    IDENTITY + "PurgeRole": role_pb2.PurgeRoleRequest(id=SOME_ID),
    **{TENANT + name: make(id=SOME_ID) for name, make in _TENANT_BY_ID.items()},
}
