"""What every installation begins with: permissions, the platform tenant and its roles, models and their prices.

The way down leaves them, so the way up finds them there and lets them be.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

_PLATFORM = "00000000-0000-0000-0000-000000000000"

_PERMISSIONS = {
    "agents:execute": "Run agents",
    "audit_logs:read": "Read the audit log",
    "call_logs:read": "Read the records of calls to models",
    "knowledge_bases:manage": "Manage knowledge bases",
    "models:execute": "Call models",
    "models:manage": "Manage models",
    "models:read": "See models",
    "roles:manage": "角色管理 Manage roles and who holds them",
    "roles:read": "See roles",
    "templates:manage": "Manage prompt templates",
    "tenants:manage": "管理租户 Manage tenants",
    "tenants:read": "See tenants",
    "users:manage": "管理用户 Manage users",
    "users:read": "See users",
    "workflows:create": "Create workflows",
    "workflows:delete": "Delete workflows",
    "workflows:execute": "Run workflows",
    "workflows:read": "See workflows",
    "workflows:update": "Change workflows",
}
_CONTENT = {
    name for name in _PERMISSIONS if name.partition(":")[0] in {"agents", "knowledge_bases", "templates", "workflows"}
} | {"models:execute", "models:read", "users:read"}
_ROLES = (
    ("super_admin", "超级管理员", 1000, False, set(_PERMISSIONS)),
    ("admin", "管理员", 100, False, set(_PERMISSIONS) - {"models:manage"}),
    ("editor", "编辑", 50, False, _CONTENT),
    ("viewer", "查看者", 10, True, {"models:read", "users:read", "workflows:read"}),
)
# name, provider, type, description, max_tokens, dimensions, streaming, USD per 1,000 tokens in and out
_MODELS = (
    (
        "local-embedding",
        "custom",
        "embedding",
        "Embeddings on this machine: wordllama, l2_supercat",
        None,
        256,
        False,
        "0",
        "0",
    ),
    ("local-chat", "custom", "chat", "A chat model on this machine: SmolLM2 135M Instruct", 2048, None, True, "0", "0"),
    ("text-embedding-3-large", "openai", "embedding", "Embeddings by OpenAI", 8191, 1536, False, "0.00013", "0"),
    ("claude-3-5-sonnet", "anthropic", "chat", "A chat model by Anthropic", 200000, None, True, "0.003", "0.015"),
    ("gpt-3.5-turbo", "openai", "chat", "A chat model by OpenAI", 4096, None, True, "0.0015", "0.002"),
    ("gpt-4", "openai", "chat", "A chat model by OpenAI", 8192, None, True, "0.03", "0.06"),
)


def _text(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''").replace(":", r"\:") + "'"


def upgrade() -> None:
    for name, description in _PERMISSIONS.items():
        resource, _, action = name.partition(":")
        op.execute(
            "INSERT INTO permissions (resource, action, description) "
            f"VALUES ({_text(resource)}, {_text(action)}, {_text(description)}) ON CONFLICT DO NOTHING"
        )
    op.execute(
        "INSERT INTO tenants (id, name, slug, tier) "
        f"VALUES ('{_PLATFORM}', 'Platform', 'platform', 'enterprise') ON CONFLICT DO NOTHING"
    )
    op.execute(f"INSERT INTO tenant_configs (tenant_id) VALUES ('{_PLATFORM}') ON CONFLICT DO NOTHING")
    for code, name, priority, default, permissions in _ROLES:
        op.execute(
            "INSERT INTO roles (tenant_id, code, name, priority, is_system, is_default) "
            f"VALUES ('{_PLATFORM}', '{code}', '{name}', {priority}, true, {default}) ON CONFLICT DO NOTHING"
        )
        listed = ", ".join(_text(permission) for permission in sorted(permissions))
        op.execute(
            "INSERT INTO role_permissions (tenant_id, role_id, permission_id) "
            f"SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p WHERE r.tenant_id = '{_PLATFORM}' "
            rf"AND r.code = '{code}' AND p.resource || '\:' || p.action IN ({listed}) ON CONFLICT DO NOTHING"
        )
    for name, provider, kind, description, max_tokens, dimensions, streaming, price_in, price_out in _MODELS:
        op.execute(
            "INSERT INTO models "
            "(name, provider, model_type, description, max_tokens, dimensions, supports_streaming) "
            f"VALUES ({_text(name)}, '{provider}', '{kind}', {_text(description)}, "
            f"{max_tokens or 'NULL'}, {dimensions or 'NULL'}, {streaming}) ON CONFLICT DO NOTHING"
        )
        op.execute(
            "INSERT INTO model_prices (model_id, input_cost_per_1k, output_cost_per_1k) "
            f"SELECT id, {price_in}, {price_out} FROM models WHERE name = {_text(name)} "
            "AND NOT EXISTS (SELECT FROM model_prices WHERE model_id = models.id)"
        )


def downgrade() -> None:
    """Leaves the seeds where they are, since whatever was built on them would go too: they go with their tables."""
