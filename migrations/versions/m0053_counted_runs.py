"""Tasks name the runs whose use of models is counted, so that a run can tell it again without its counting twice."""

from alembic import op

revision = "0053"
down_revision = "0052"


def upgrade() -> None:
    op.execute("ALTER TABLE workflow_tasks ADD COLUMN counted_runs UUID[] NOT NULL DEFAULT '{}'")
    op.execute("COMMENT ON COLUMN workflow_tasks.counted_runs IS 'The runs of it whose models'' use is counted.'")


def downgrade() -> None:
    op.execute("ALTER TABLE workflow_tasks DROP COLUMN counted_runs")
