"""Calls that are over are noted in one small row, and counted a moment later, together with those beside them.

The version before enters calls by `atrium_enter_calls`, which this one's function calls; it notes none.
"""

from alembic import op

revision = "0051"
down_revision = "0050"

_ARGUMENTS = {
    "tenant": "uuid",
    "window_kinds": "text[]",
    "window_starts": "timestamptz[]",
    "subjects": "text[]",
    "kinds": "text[]",
    "limits": "numeric[]",
    "to_reserve": "numeric[]",
    "to_use": "numeric[]",
    "warnings": "numeric[]",
    "share": "numeric",
    "ids": "uuid[]",
    "held": "numeric[]",
    "spares": "uuid[]",
    "spared": "numeric[]",
    "lease": "interval",
    "records": "jsonb",
    "sums": "jsonb",
}
_TYPED = ", ".join(f"{name} {kind}" for name, kind in _ARGUMENTS.items())
_BY_KEY = "SET plan_cache_mode = force_generic_plan " + " ".join(
    f"SET enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)

_UP = (
    """
    CREATE TABLE call_journal (
        tenant_id UUID NOT NULL,
        call_log_id UUID NOT NULL,
        records JSONB NOT NULL,
        holds UUID[] NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_call_journal PRIMARY KEY (tenant_id, call_log_id),
        CONSTRAINT fk_call_journal_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    "COMMENT ON TABLE call_journal IS 'Calls that are over and not among the records yet: for some milliseconds.'",
    "COMMENT ON COLUMN call_journal.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN call_journal.call_log_id IS 'What its record will have as its id, the first of several.'",
    "COMMENT ON COLUMN call_journal.records IS 'Its records, one of each model that was asked, by the columns of model_call_logs.'",
    "COMMENT ON COLUMN call_journal.holds IS 'What it was lent of limits: rows of quota_holds.'",
    "COMMENT ON COLUMN call_journal.created_at IS 'When it was made.'",
    "ALTER TABLE call_journal ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY tenant_isolation ON call_journal USING (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON call_journal TO atrium_app",
    f"""
    CREATE FUNCTION atrium_count_calls({_TYPED}) RETURNS text LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        outcome text := atrium_enter_calls({", ".join(_ARGUMENTS)});
    BEGIN
        IF outcome <> 'differs' THEN
            DELETE FROM call_journal j
            WHERE j.tenant_id = tenant AND j.call_log_id IN (
                SELECT (r ->> 'id')::uuid FROM jsonb_array_elements(atrium_count_calls.records) r
            );
        END IF;
        RETURN outcome;
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_count_calls({_TYPED}) IS 'Does what atrium_enter_calls does, and removes what was noted of the calls.'",
    f"REVOKE ALL ON FUNCTION atrium_count_calls({_TYPED}) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION atrium_count_calls({_TYPED}) TO atrium_app",
)
_DOWN = (
    f"DROP FUNCTION atrium_count_calls({_TYPED})",
    "DROP TABLE call_journal",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
