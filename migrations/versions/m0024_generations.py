"""How often a session's refresh token was exchanged, so that each earlier one is known for what it is."""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD COLUMN generation INTEGER DEFAULT 0 NOT NULL")
    op.execute(
        "COMMENT ON COLUMN sessions.generation IS "
        "'How often the refresh token was exchanged: earlier ones of that number are known for such.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE sessions DROP COLUMN generation")
