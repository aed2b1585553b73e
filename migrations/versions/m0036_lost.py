"""Whether a stream was ended since its server was gone."""

from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.execute("ALTER TABLE generations ADD COLUMN lost BOOLEAN DEFAULT false NOT NULL")
    op.execute(
        "COMMENT ON COLUMN generations.lost IS "
        "'Whether it was ended since its server was gone, which may have told more than is written.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE generations DROP COLUMN lost")
