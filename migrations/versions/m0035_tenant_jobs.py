"""Jobs that are tenants' own wait in a backlog of the tenant's, and come into the queue no faster than its share allows."""

from alembic import op

revision = "0035"
down_revision = "0034"

_OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"

_UP = (
    """
    CREATE TABLE tenant_slots (
        tenant_id UUID NOT NULL,
        admitted INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT pk_tenant_slots PRIMARY KEY (tenant_id),
        CONSTRAINT fk_tenant_slots_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_tenant_slots_admitted CHECK (admitted >= 0)
    )
    """,
    "COMMENT ON TABLE tenant_slots IS "
    "'What holds a tenant to its share of the workers: whoever admits a job of it locks its row.'",
    "COMMENT ON COLUMN tenant_slots.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_slots.admitted IS "
    "'How many of its jobs are in the queue, waiting for a worker or with one.'",
    """
    CREATE TABLE tenant_jobs (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        entrypoint VARCHAR(100) NOT NULL,
        payload JSONB NOT NULL,
        status VARCHAR(20) DEFAULT 'ready' NOT NULL,
        failed_runs INTEGER DEFAULT 0 NOT NULL,
        not_before TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_tenant_jobs PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_tenant_jobs_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id),
        CONSTRAINT ck_tenant_jobs_status CHECK (status IN ('ready', 'admitted', 'aside')),
        CONSTRAINT ck_tenant_jobs_failed_runs CHECK (failed_runs >= 0)
    )
    """,
    "CREATE INDEX ix_tenant_jobs_ready ON tenant_jobs (tenant_id, not_before, id) WHERE status = 'ready'",
    "CREATE INDEX ix_tenant_jobs_taken ON tenant_jobs (tenant_id, id) WHERE status <> 'ready'",
    "COMMENT ON TABLE tenant_jobs IS "
    "'Jobs of tenants that are to be done: the authority, for which the queue only has leases and wake-ups.'",
    "COMMENT ON COLUMN tenant_jobs.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN tenant_jobs.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN tenant_jobs.entrypoint IS 'What does the job, with its version: mail/1.'",
    "COMMENT ON COLUMN tenant_jobs.payload IS 'What it is about; no secret.'",
    "COMMENT ON COLUMN tenant_jobs.status IS "
    "'ready: it waits; admitted: it is in the queue; aside: it failed too often, for somebody to look at.'",
    "COMMENT ON COLUMN tenant_jobs.failed_runs IS 'How many of its runs failed.'",
    "COMMENT ON COLUMN tenant_jobs.not_before IS 'When it is to be tried at the earliest.'",
    "COMMENT ON COLUMN tenant_jobs.created_at IS 'When it was made.'",
    *(
        statement
        for table in ("tenant_slots", "tenant_jobs")
        for statement in (
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant_isolation ON {table} USING ({_OWN}) WITH CHECK ({_OWN})",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO atrium_app",
        )
    ),
    """
    CREATE FUNCTION atrium_tenants_at_work() RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
        SELECT s.tenant_id FROM public.tenant_slots s
        WHERE EXISTS (SELECT FROM public.tenant_jobs j WHERE j.tenant_id = s.tenant_id)
    $$
    """,
    "COMMENT ON FUNCTION atrium_tenants_at_work() IS "
    "'The tenants that have jobs of their own, for what looks after the jobs of all.'",
    "REVOKE ALL ON FUNCTION atrium_tenants_at_work() FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION atrium_tenants_at_work() TO atrium_app",
    # The engine finds jobs by their key only while they wait or run.
    "CREATE INDEX atrium_failed_key_idx ON jobs.pgqueuer (dedupe_key) WHERE status = 'failed'",
)
_DOWN = (
    "DELETE FROM jobs.pgqueuer WHERE entrypoint IN ('mail/1', 'admit/1')",  # which no older worker takes
    "DROP INDEX jobs.atrium_failed_key_idx",
    "DROP FUNCTION atrium_tenants_at_work()",
    "DROP TABLE tenant_jobs",
    "DROP TABLE tenant_slots",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
