"""What usernames look like: no two live users of a tenant look the same."""

from alembic import op

revision = "0022"
down_revision = "0021"

# A view of all columns keeps those that there were when it was made.
_VIEW = (
    "CREATE VIEW active_users WITH (security_invoker = true) AS SELECT * FROM users WHERE deleted_at IS NULL",
    "COMMENT ON VIEW active_users IS 'The live rows of users.'",
    "GRANT SELECT ON active_users TO atrium_app",
)
_UP = (
    "ALTER TABLE users ADD COLUMN likeness TEXT",
    "COMMENT ON COLUMN users.likeness IS 'What the username looks like; NULL: it is older than this, and not of ASCII alone.'",
    # Which other letters look alike, no database knows. Nobody's row is changed by this: it keeps its time.
    "ALTER TABLE users DISABLE TRIGGER touch",
    "UPDATE users SET likeness = username_key WHERE username ~ '^[ -~]+$'",
    "ALTER TABLE users ENABLE TRIGGER touch",
    "CREATE UNIQUE INDEX uq_users_likeness ON users (tenant_id, likeness) WHERE deleted_at IS NULL",
    "DROP VIEW active_users",
    *_VIEW,
)
_DOWN = ("DROP VIEW active_users", "ALTER TABLE users DROP COLUMN likeness", *_VIEW)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
