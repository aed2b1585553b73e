"""The permission to keep the tenant's own keys to providers, for whoever administers a tenant."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        "INSERT INTO permissions (resource, action, description) "
        "VALUES ('credentials', 'manage', 'Manage the tenant''s own keys to providers') ON CONFLICT DO NOTHING"
    )
    op.execute(
        "INSERT INTO role_permissions (tenant_id, role_id, permission_id) "
        "SELECT r.tenant_id, r.id, p.id FROM roles r, permissions p "
        "WHERE r.is_system AND r.code IN ('super_admin', 'admin') AND (p.resource, p.action) = ('credentials', 'manage') "
        "ON CONFLICT DO NOTHING"
    )


def downgrade() -> None:
    op.execute("DELETE FROM permissions WHERE resource = 'credentials' AND action = 'manage'")
