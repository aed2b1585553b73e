"""Models go on being asked to stream that were until now, whatever was said of them: nobody looked at it."""

from alembic import op

revision = "0029"
down_revision = "0028"

_TABLES = ("models", "tenant_models")


def upgrade() -> None:
    for table in _TABLES:
        op.execute(
            f"COMMENT ON COLUMN {table}.supports_streaming IS "
            "'Whether it answers in parts; one that does not is asked for a whole.'"
        )
        op.execute(f"UPDATE {table} SET supports_streaming = true WHERE model_type = 'chat' AND NOT supports_streaming")


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"COMMENT ON COLUMN {table}.supports_streaming IS 'Whether it answers in parts.'")
