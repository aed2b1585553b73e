"""Indexes by a moment serve the removal of what is old, and nothing that is looked for by its key.

Where the statistics know of few rows of a tenant, reading all of them by an index that begins with the tenant looks as cheap
as going by the key, and is kept as the plan. So each of these indexes has a condition, which leaves out no row, and which the
removals alone state. What is over of sessions and one-time tokens is removed by such an index too, in place of reading all.

A stream is found by what its user calls it: COALESCE counts as one that could leak, so that no index on it is gone by under
row security; CASE does not.
"""

from alembic import op

revision = "0033"
down_revision = "0032"

_MADE_AGAIN = (
    ("idempotency_keys", "expires_at"),
    ("sign_in_throttle", "updated_at"),
    ("sign_in_guesses", "updated_at"),
    ("call_contents", "created_at"),
    ("response_cache", "expires_at"),
    ("embedding_cache", "expires_at"),
    ("generations", "expires_at"),
)
_NEW = (
    ("sessions", "least(expires_at, revoked_at)"),
    ("one_time_tokens", "least(expires_at, used_at)"),
)
_CALLED = "CREATE UNIQUE INDEX uq_generations_called ON generations (tenant_id, user_id, ({}))"


def upgrade() -> None:
    op.execute("DROP INDEX uq_generations_called")
    op.execute(_CALLED.format("CASE WHEN called IS NULL THEN id ELSE called END"))
    for table, moment in _MADE_AGAIN:
        op.execute(f"DROP INDEX ix_{table}_{moment}")
        op.execute(f"CREATE INDEX ix_{table}_{moment} ON {table} (tenant_id, {moment}) WHERE {moment} >= '-infinity'")
    for table, moment in _NEW:
        op.execute(f"CREATE INDEX ix_{table}_over ON {table} (tenant_id, {moment}) WHERE {moment} >= '-infinity'")


def downgrade() -> None:
    op.execute("DROP INDEX uq_generations_called")
    op.execute(_CALLED.format("COALESCE(called, id)"))
    for table, _ in _NEW:
        op.execute(f"DROP INDEX ix_{table}_over")
    for table, moment in _MADE_AGAIN:
        op.execute(f"DROP INDEX ix_{table}_{moment}")
        op.execute(f"CREATE INDEX ix_{table}_{moment} ON {table} (tenant_id, {moment})")
