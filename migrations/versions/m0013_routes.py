"""What routes need to know of their targets, the etags of models, and which way a call went."""

from alembic import op

revision = "0013"
down_revision = "0012"

_MODEL = (
    "name",
    "provider",
    "model_type",
    "description",
    "max_tokens",
    "dimensions",
    "supports_streaming",
    "supports_function_calling",
    "base_url",
    "status",
    "deprecates_at",
    "replacement_model_id",
)
_ROUTE = ("alias", "targets", "fallbacks", "retry", "cooldown_seconds", "cooldown_after", "cache_ttl_seconds")


def _revise(table: str, columns: tuple[str, ...]) -> str:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns)
    return (
        f"CREATE TRIGGER revise BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION atrium_revise()"
    )


_PERMISSIONS = {
    "routes:manage": "Manage the names behind which models stand",
    "tenant_models:manage": "Manage the tenant''s own models",
}


def upgrade() -> None:
    for name, description in _PERMISSIONS.items():
        resource, action = name.split(":")
        op.execute(
            "INSERT INTO permissions (resource, action, description) "
            f"VALUES ('{resource}', '{action}', '{description}') ON CONFLICT DO NOTHING"
        )
        op.execute(
            "INSERT INTO role_permissions (tenant_id, role_id, permission_id) "
            "SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p "
            "WHERE r.is_system AND r.code IN ('super_admin', 'admin') "
            f"AND (p.resource, p.action) = ('{resource}', '{action}') ON CONFLICT DO NOTHING"
        )
    op.execute("ALTER TABLE models ADD COLUMN revision BIGINT DEFAULT 1 NOT NULL")
    op.execute(
        "COMMENT ON COLUMN models.revision IS 'Rises with every change that the API can make; its etag.'",
    )
    op.execute(_revise("models", _MODEL))
    op.execute("ALTER TABLE model_routes ADD COLUMN cooldown_after INTEGER DEFAULT 3 NOT NULL")
    op.execute("ALTER TABLE model_routes ADD CONSTRAINT ck_model_routes_cooldown_after CHECK (cooldown_after > 0)")
    op.execute(
        "COMMENT ON COLUMN model_routes.cooldown_after IS 'After how many failures in a row a target is left alone.'"
    )
    op.execute("DROP TRIGGER revise ON model_routes")
    op.execute(_revise("model_routes", _ROUTE))
    op.execute("ALTER TABLE model_call_logs ADD COLUMN route VARCHAR(100)")
    op.execute(
        "COMMENT ON COLUMN model_call_logs.route IS 'The alias that was called; NULL: the model itself was.'",
    )
    op.execute("ALTER TABLE model_call_logs ADD COLUMN attempts INTEGER DEFAULT 1 NOT NULL")
    op.execute("ALTER TABLE model_call_logs ADD CONSTRAINT ck_model_call_logs_attempts CHECK (attempts >= 0)")
    op.execute("COMMENT ON COLUMN model_call_logs.attempts IS 'How often the model was asked.'")


def downgrade() -> None:
    op.execute("ALTER TABLE model_call_logs DROP COLUMN attempts")
    op.execute("ALTER TABLE model_call_logs DROP COLUMN route")
    op.execute("DROP TRIGGER revise ON model_routes")
    op.execute("ALTER TABLE model_routes DROP COLUMN cooldown_after")
    op.execute(_revise("model_routes", tuple(name for name in _ROUTE if name != "cooldown_after")))
    for name in _PERMISSIONS:
        resource, action = name.split(":")
        op.execute(f"DELETE FROM permissions WHERE (resource, action) = ('{resource}', '{action}')")
    op.execute("DROP TRIGGER revise ON models")
    op.execute("ALTER TABLE models DROP COLUMN revision")
