"""Prices of tenants' own models from a moment on.

The version before reads and writes the columns of `tenant_models` alone, which are what a model was made with, or changed
with last. Each change of them is a price from that moment on, whichever version makes it.
"""

from alembic import op

revision = "0054"
down_revision = "0053"

_OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
_PRICE = ("input_cost_per_1k", "output_cost_per_1k", "cached_input_cost_per_1k")
FUNCTION = (
    f"""
    CREATE FUNCTION atrium_date_price() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tenant_model_prices (tenant_id, model_id, {", ".join(_PRICE)})
        VALUES (NEW.tenant_id, NEW.id, {", ".join(f"NEW.{name}" for name in _PRICE)});
        RETURN NULL;
    END
    $$
    """,
    "COMMENT ON FUNCTION atrium_date_price() IS 'Notes from when on the price of a tenant''s own model is in force.'",
)
_UP = (
    """
    CREATE TABLE tenant_model_prices (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        model_id UUID NOT NULL,
        input_cost_per_1k NUMERIC(18, 9) NOT NULL,
        output_cost_per_1k NUMERIC(18, 9) NOT NULL,
        cached_input_cost_per_1k NUMERIC(18, 9),
        effective_from TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_model_prices PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_tenant_model_prices_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT fk_tenant_model_prices_tenant_id_model_id FOREIGN KEY(tenant_id, model_id)
            REFERENCES tenant_models (tenant_id, id) ON DELETE CASCADE,
        CONSTRAINT uq_tenant_model_prices_effective_from UNIQUE (tenant_id, model_id, effective_from),
        CONSTRAINT ck_tenant_model_prices_input_cost_per_1k CHECK (input_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_model_prices_output_cost_per_1k CHECK (output_cost_per_1k >= 0),
        CONSTRAINT ck_tenant_model_prices_cached_input_cost_per_1k CHECK (cached_input_cost_per_1k >= 0)
    )
    """,
    "COMMENT ON TABLE tenant_model_prices IS 'What tenants'' own models cost from a moment on.'",
    "COMMENT ON COLUMN tenant_model_prices.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_model_prices.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN tenant_model_prices.model_id IS 'Whose price it is.'",
    "COMMENT ON COLUMN tenant_model_prices.input_cost_per_1k IS 'USD per 1,000 tokens read.'",
    "COMMENT ON COLUMN tenant_model_prices.output_cost_per_1k IS 'USD per 1,000 tokens written.'",
    "COMMENT ON COLUMN tenant_model_prices.cached_input_cost_per_1k IS 'USD per 1,000 tokens read from the provider''s "
    "cache; NULL: as others.'",
    "COMMENT ON COLUMN tenant_model_prices.effective_from IS 'From when it is in force.'",
    "COMMENT ON COLUMN tenant_model_prices.created_at IS 'When it was made.'",
    "ALTER TABLE tenant_model_prices ENABLE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant_isolation ON tenant_model_prices USING ({_OWN}) WITH CHECK ({_OWN})",
    "GRANT SELECT, INSERT ON tenant_model_prices TO atrium_app",
    *FUNCTION,
    f"CREATE TRIGGER price AFTER UPDATE OF {', '.join(_PRICE)} ON tenant_models "
    "FOR EACH ROW EXECUTE FUNCTION atrium_date_price()",
)
_DOWN = (
    "DROP TRIGGER price ON tenant_models",
    # What is in force stays so.
    f"""
    UPDATE tenant_models m SET ({", ".join(_PRICE)}) = (p.{", p.".join(_PRICE)})
    FROM (
        SELECT DISTINCT ON (tenant_id, model_id) * FROM tenant_model_prices
        WHERE effective_from <= clock_timestamp() ORDER BY tenant_id, model_id, effective_from DESC
    ) p
    WHERE (m.tenant_id, m.id) = (p.tenant_id, p.model_id)
    """,
    "DROP FUNCTION atrium_date_price()",
    "DROP TABLE tenant_model_prices",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
