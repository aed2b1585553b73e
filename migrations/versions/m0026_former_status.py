"""What a user was before they were locked, so that unlocking makes nobody active who was not."""

from alembic import op

revision = "0026"
down_revision = "0025"

_VIEW = (
    "CREATE VIEW active_users WITH (security_invoker = true) AS SELECT * FROM users WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_users IS 'The live rows of users.'",
    "GRANT SELECT ON active_users TO atrium_app",
)
_UP = (
    "ALTER TABLE users ADD COLUMN former_status VARCHAR(20)",
    "ALTER TABLE users ADD CONSTRAINT ck_users_former_status CHECK (former_status IN ('active', 'inactive'))",
    "COMMENT ON COLUMN users.former_status IS 'What they were before they were locked, and are again when unlocked.'",
    # A view of all columns keeps those that there were when it was made.
    "DROP VIEW active_users",
    *_VIEW,
)
_DOWN = ("DROP VIEW active_users", "ALTER TABLE users DROP COLUMN former_status", *_VIEW)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
