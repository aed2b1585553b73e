"""What deleting, restoring, slowing down sign-ins and keys for programs stand on."""

from alembic import op

revision = "0009"
down_revision = "0008"

_PERMISSIONS = {
    "api_keys:manage": "Manage the keys of others",
    "deleted:read": "See what was deleted",
}

_LIST = """
    CREATE FUNCTION atrium_list_tenants(before uuid, since uuid, wanted text, most integer{parameter})
    RETURNS SETOF public.tenants
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        SELECT t.* FROM public.tenants t
        WHERE nullif(current_setting('app.tenant_id', true), '')::uuid = '00000000-0000-0000-0000-000000000000'
          AND {deleted} AND t.id < before AND t.id >= since AND (wanted IS NULL OR t.status = wanted)
        ORDER BY t.id DESC LIMIT most
    $$
"""
_BEFORE = "uuid, uuid, text, integer"

_UP = (
    "ALTER TABLE tenants ADD COLUMN former_status VARCHAR(20)",
    "ALTER TABLE tenants ADD CONSTRAINT ck_tenants_former_status CHECK (former_status IN ('active', 'suspended'))",
    "COMMENT ON COLUMN tenants.former_status IS 'What it was before it was deleted, and is again when restored.'",
    # A view of all columns keeps those that there were when it was made.
    "DROP VIEW active_tenants",
    "CREATE VIEW active_tenants WITH (security_invoker = true) AS SELECT * FROM tenants WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_tenants IS 'The live rows of tenants.'",
    "GRANT SELECT ON active_tenants TO atrium_app",
    "DROP INDEX ix_sessions_user_id",
    "CREATE INDEX ix_sessions_user_id ON sessions (tenant_id, user_id, id DESC)",
    "DROP INDEX ix_api_keys_user_id",
    "CREATE INDEX ix_api_keys_user_id ON api_keys (tenant_id, user_id, id DESC)",
    """
    CREATE TABLE sign_in_throttle (
        tenant_id UUID NOT NULL,
        address INET NOT NULL,
        failures INTEGER DEFAULT 1 NOT NULL,
        blocked_until TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_sign_in_throttle PRIMARY KEY (tenant_id, address),
        CONSTRAINT fk_sign_in_throttle_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_sign_in_throttle_failures CHECK (failures >= 0)
    )
    """,
    "CREATE INDEX ix_sign_in_throttle_updated_at ON sign_in_throttle (tenant_id, updated_at)",
    "COMMENT ON TABLE sign_in_throttle IS 'Addresses that sign-ins failed from.'",
    "COMMENT ON COLUMN sign_in_throttle.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN sign_in_throttle.address IS 'From where sign-ins failed.'",
    "COMMENT ON COLUMN sign_in_throttle.failures IS 'How many, one after the other.'",
    "COMMENT ON COLUMN sign_in_throttle.blocked_until IS 'Until when sign-ins from there are refused.'",
    "COMMENT ON COLUMN sign_in_throttle.created_at IS 'When it was made.'",
    "COMMENT ON COLUMN sign_in_throttle.updated_at IS 'When it last changed; a trigger''s.'",
    "ALTER TABLE sign_in_throttle ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON sign_in_throttle USING (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = "
    "nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "CREATE TRIGGER touch BEFORE UPDATE ON sign_in_throttle FOR EACH ROW EXECUTE FUNCTION atrium_touch()",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_throttle TO atrium_app",
)
_DOWN = (
    "DROP TABLE sign_in_throttle",
    "DROP INDEX ix_sessions_user_id",
    "CREATE INDEX ix_sessions_user_id ON sessions (tenant_id, user_id)",
    "DROP INDEX ix_api_keys_user_id",
    "CREATE INDEX ix_api_keys_user_id ON api_keys (tenant_id, user_id)",
    "DROP VIEW active_tenants",
    "ALTER TABLE tenants DROP COLUMN former_status",
    "CREATE VIEW active_tenants WITH (security_invoker = true) AS SELECT * FROM tenants WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_tenants IS 'The live rows of tenants.'",
    "GRANT SELECT ON active_tenants TO atrium_app",
)


def upgrade() -> None:
    op.execute(f"DROP FUNCTION atrium_list_tenants({_BEFORE})")
    for statement in _UP:
        op.execute(statement)
    _make_list(
        f"{_BEFORE}, text",
        parameter=", deleted text",
        deleted="(t.deleted_at IS NULL OR deleted <> 'exclude') AND (t.deleted_at IS NOT NULL OR deleted <> 'only')",
    )
    for name, description in _PERMISSIONS.items():
        resource, _, action = name.partition(":")
        op.execute(
            "INSERT INTO permissions (resource, action, description) "
            f"VALUES ('{resource}', '{action}', '{description}') ON CONFLICT DO NOTHING"
        )
        # Whoever administers a tenant already is given what a new tenant's administrators get.
        op.execute(
            "INSERT INTO role_permissions (tenant_id, role_id, permission_id) "
            "SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p "
            "WHERE r.is_system AND r.code IN ('super_admin', 'admin') "
            f"AND p.resource = '{resource}' AND p.action = '{action}' ON CONFLICT DO NOTHING"
        )


def downgrade() -> None:
    op.execute(f"DROP FUNCTION atrium_list_tenants({_BEFORE}, text)")
    for name in _PERMISSIONS:
        resource, _, action = name.partition(":")
        op.execute(f"DELETE FROM permissions WHERE resource = '{resource}' AND action = '{action}'")
    for statement in _DOWN:
        op.execute(statement)
    _make_list(_BEFORE, parameter="", deleted="t.deleted_at IS NULL")


def _make_list(signature: str, *, parameter: str, deleted: str) -> None:
    op.execute(_LIST.format(parameter=parameter, deleted=deleted))
    op.execute(
        f"COMMENT ON FUNCTION atrium_list_tenants({signature}) IS "
        "'Tenants, newest first; no row unless the platform asks.'"
    )
    op.execute(f"REVOKE ALL ON FUNCTION atrium_list_tenants({signature}) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION atrium_list_tenants({signature}) TO atrium_app")
