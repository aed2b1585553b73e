"""What counts is never below zero, and what is reserved is of a kind that the ledger knows: also where no CHECK said so yet."""

from alembic import op

revision = "0034"
down_revision = "0033"

# The checks of a table are made together: its rows are read once.
_CHECKS = {
    "users": {"token_epoch": "token_epoch >= 0"},
    "sessions": {"generation": "generation >= 0"},
    "quota_reservations": {
        "window_kind": "window_kind IN ('minute', 'month', 'none')",
        "kind": "kind IN ('requests', 'tokens', 'cost', 'parallel')",
    },
    "generation_events": {"first_seq": "first_seq >= 0", "last_seq": "last_seq >= 0"},
}


def upgrade() -> None:
    for table, checks in _CHECKS.items():
        made = [f"ADD CONSTRAINT ck_{table}_{name} CHECK ({check})" for name, check in checks.items()]
        op.execute(f"ALTER TABLE {table} {', '.join(made)}")


def downgrade() -> None:
    for table, checks in _CHECKS.items():
        op.execute(f"ALTER TABLE {table} {', '.join(f'DROP CONSTRAINT ck_{table}_{name}' for name in checks)}")
