"""Streams are called as their users like, and one of them gives one stream whatever it calls it."""

from alembic import op

revision = "0028"
down_revision = "0027"

# The version before makes rows that are called by their id.
_UP = (
    "ALTER TABLE generations ADD COLUMN called UUID",
    "ALTER TABLE generations ADD COLUMN asked BYTEA",
    "COMMENT ON COLUMN generations.called IS 'What its user calls it; NULL: by its id.'",
    "COMMENT ON COLUMN generations.asked IS 'SHA-256 of all that was asked for; NULL: nobody knows any more.'",
    "CREATE UNIQUE INDEX uq_generations_called ON generations (tenant_id, user_id, COALESCE(called, id))",
)
_DOWN = (
    "DROP INDEX uq_generations_called",
    "ALTER TABLE generations DROP COLUMN asked",
    "ALTER TABLE generations DROP COLUMN called",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
