"""A call that is being made says by whom: a server that was taken for dead does not put its answer over that of the other."""

from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN claim UUID")
    op.execute(
        "COMMENT ON COLUMN idempotency_keys.claim IS "
        "'Stands for who makes the call at present; NULL: nobody, or a version that does not say so.'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys DROP COLUMN claim")
