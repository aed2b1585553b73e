"""What the hash of a repeated request is: a keyed one, as the comment of its column did not say."""

from alembic import op

revision = "0030"
down_revision = "0029"

_COLUMN = "COMMENT ON COLUMN idempotency_keys.request_hash IS "


def upgrade() -> None:
    op.execute(
        f"{_COLUMN}'HMAC-SHA-256 of the request, under a key that the master key gives: another body is refused.'"
    )


def downgrade() -> None:
    op.execute(f"{_COLUMN}'SHA-256 of the request: another body is refused.'")
