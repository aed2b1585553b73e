"""The costs of a day are more than those of one call: each may be the highest that there is."""

from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.execute("ALTER TABLE usage_rollups ALTER COLUMN cost TYPE NUMERIC(30, 9)")


def downgrade() -> None:
    op.execute("ALTER TABLE usage_rollups ALTER COLUMN cost TYPE NUMERIC(18, 9) USING least(cost, 999999999.999999999)")
