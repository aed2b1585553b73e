"""When the purge of a tenant began: from then on it is not restored, however long the purge takes."""

from alembic import op

revision = "0021"
down_revision = "0020"

# A view of all columns keeps those that there were when it was made.
_VIEW = (
    "CREATE VIEW active_tenants WITH (security_invoker = true) AS SELECT * FROM tenants WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_tenants IS 'The live rows of tenants.'",
    "GRANT SELECT ON active_tenants TO atrium_app",
)
_UP = (
    "ALTER TABLE tenants ADD COLUMN purge_started_at TIMESTAMP WITH TIME ZONE",
    "COMMENT ON COLUMN tenants.purge_started_at IS 'Since when it is being purged, and cannot be restored; NULL: it is not.'",
    "ALTER TABLE tenants ADD CONSTRAINT ck_tenants_purge_started_at CHECK (purge_started_at IS NULL OR deleted_at IS NOT NULL)",
    # Whose settings are gone was being purged when that was interrupted.
    "UPDATE tenants t SET purge_started_at = now() WHERE deleted_at IS NOT NULL "
    "AND NOT EXISTS (SELECT FROM tenant_configs c WHERE c.tenant_id = t.id)",
    "DROP VIEW active_tenants",
    *_VIEW,
)
_DOWN = ("DROP VIEW active_tenants", "ALTER TABLE tenants DROP COLUMN purge_started_at", *_VIEW)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
