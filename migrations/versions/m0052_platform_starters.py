"""Executions name who of the platform started them inside a tenant, so that no more is done for them than they may do.

The version before writes down nobody, and does what it does for nobody with rights of its own; this one does nothing more
of such executions. Those that this one makes it goes on with as with its own.
"""

from alembic import op

revision = "0052"
down_revision = "0051"

_STARTED = "Who started it; NULL: they were removed for good"


def upgrade() -> None:
    op.execute("ALTER TABLE workflow_executions ADD COLUMN platform_user_id UUID")
    op.execute(
        "COMMENT ON COLUMN workflow_executions.platform_user_id IS 'Who started it, where they are the platform''s.'"
    )
    op.execute(f"COMMENT ON COLUMN workflow_executions.user_id IS '{_STARTED}, or are the platform''s.'")


def downgrade() -> None:
    op.execute(f"COMMENT ON COLUMN workflow_executions.user_id IS '{_STARTED}.'")
    op.execute("ALTER TABLE workflow_executions DROP COLUMN platform_user_id")
