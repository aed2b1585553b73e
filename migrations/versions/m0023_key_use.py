"""That a key was used is no change of the key: its time of change stays."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("DROP TRIGGER touch ON api_keys")
    op.execute(
        "CREATE TRIGGER touch BEFORE UPDATE ON api_keys FOR EACH ROW "
        "WHEN (OLD.last_used_at IS NOT DISTINCT FROM NEW.last_used_at) EXECUTE FUNCTION atrium_touch()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER touch ON api_keys")
    op.execute("CREATE TRIGGER touch BEFORE UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION atrium_touch()")
