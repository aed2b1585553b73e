"""Records of calls say in what way a provider was not there.

The version before writes down no outage, by the same function.
"""

from alembic import op

revision = "0055"
down_revision = "0054"

_BEFORE, _SINCE = "workflow_execution_id, task_id", "workflow_execution_id, task_id, outage"
_COMMENT = "In what way its provider was not there: unreachable, silent, failing, cooling."


def _redefine(old: str, new: str) -> None:
    """The function that enters calls, with other columns of their records and else as it is."""
    op.execute(
        f"""
        DO $redefine$
        BEGIN
            EXECUTE replace(pg_get_functiondef('atrium_enter_calls'::regproc), '{old}', '{new}');
        END
        $redefine$
        """
    )


def upgrade() -> None:
    op.execute("ALTER TABLE model_call_logs ADD COLUMN outage VARCHAR(20)")
    op.execute(f"COMMENT ON COLUMN model_call_logs.outage IS '{_COMMENT}'")
    _redefine(_BEFORE, _SINCE)


def downgrade() -> None:
    _redefine(_SINCE, _BEFORE)
    op.execute("ALTER TABLE model_call_logs DROP COLUMN outage")
