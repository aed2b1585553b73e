"""Models whose provider calls them otherwise: so that one of the same name can be called at several places."""

from alembic import op

revision = "0018"
down_revision = "0017"

_MODEL = (
    "name",
    "provider",
    "model_type",
    "description",
    "max_tokens",
    "dimensions",
    "supports_streaming",
    "supports_function_calling",
    "base_url",
    "status",
    "deprecates_at",
    "replacement_model_id",
)
_PRICE = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
_TABLES = {"models": (), "tenant_models": _PRICE}


def _revise(table: str, columns: tuple[str, ...]) -> None:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns)
    op.execute(f"DROP TRIGGER revise ON {table}")
    op.execute(
        f"CREATE TRIGGER revise BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION atrium_revise()"
    )


def upgrade() -> None:
    for table, more in _TABLES.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN upstream_name VARCHAR(200)")
        op.execute(f"COMMENT ON COLUMN {table}.upstream_name IS 'What its provider calls it; NULL: as calls do.'")
        _revise(table, (*_MODEL, "upstream_name", *more))


def downgrade() -> None:
    for table, more in _TABLES.items():
        _revise(table, (*_MODEL, *more))
        op.execute(f"ALTER TABLE {table} DROP COLUMN upstream_name")
