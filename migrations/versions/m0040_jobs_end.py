"""Jobs of tenants end in one round trip, those of several together, and what follows them comes in within the same one.

The version before does the same to the same rows, a statement at a time.
"""

from alembic import op

revision = "0040"
down_revision = "0039"

# Tables that are empty now and then, and full a moment later, are planned for as if they were full.
_BY_KEY = "SET plan_cache_mode = force_generic_plan " + " ".join(
    f"SET enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)
_ADMIT = "tenant uuid, given_back integer, share integer"
_READ = "tenants uuid[], ids uuid[]"
_END = "job_ids bigint[], run_tokens uuid[], tenants uuid[], ids uuid[], share integer, in_haste boolean"

_UP = (
    f"""
    CREATE FUNCTION atrium_read_jobs({_READ}) RETURNS jsonb LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        found jsonb[];
    BEGIN
        FOR place IN 1 .. cardinality(ids) LOOP
            PERFORM set_config('app.tenant_id', tenants[place]::text, true);
            found[place] := (
                SELECT jsonb_build_object('payload', j.payload, 'status', j.status, 'failed_runs', j.failed_runs)
                FROM tenant_jobs j WHERE j.tenant_id = tenants[place] AND j.id = ids[place]
            );
        END LOOP;
        RETURN to_jsonb(found);
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_read_jobs({_READ}) IS 'Of each of these jobs, of whichever tenants, what it is about, its status, and how many of its runs failed; null for one that is not there.'",
    # Each statement sees what was committed before it began: what was added while this waited for the tenant's row is in time
    # for this look, and for no other. By the clock, for the same reason. The row is written where the count changes, and else
    # only held. A tenant that is gone or is being purged has nothing begun any more, nor anything locked against the purge.
    f"""
    CREATE FUNCTION atrium_admit_jobs({_ADMIT}) RETURNS integer LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        held integer;
        came integer := 0;
    BEGIN
        LOOP
            SELECT s.admitted INTO held FROM tenant_slots s JOIN tenants t ON t.id = s.tenant_id
            WHERE s.tenant_id = tenant AND t.purge_started_at IS NULL FOR NO KEY UPDATE OF s;
            EXIT WHEN FOUND;
            INSERT INTO tenant_slots (tenant_id) SELECT t.id FROM tenants t WHERE t.id = tenant AND t.purge_started_at IS NULL
            ON CONFLICT DO NOTHING;
            IF NOT FOUND AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = tenant AND t.purge_started_at IS NULL) THEN
                RETURN NULL;
            END IF;
        END LOOP;
        IF share > greatest(held - given_back, 0) THEN
            WITH next AS (
                SELECT j.id FROM tenant_jobs j
                WHERE j.tenant_id = tenant AND j.status = 'ready' AND j.not_before <= clock_timestamp()
                ORDER BY j.not_before, j.id LIMIT share - greatest(held - given_back, 0) FOR UPDATE SKIP LOCKED
            ), taken AS (
                UPDATE tenant_jobs j SET status = 'admitted' FROM next WHERE j.tenant_id = tenant AND j.id = next.id
                RETURNING j.id, j.entrypoint
            ), queued AS (
                INSERT INTO jobs.pgqueuer AS q (priority, status, entrypoint, dedupe_key, payload)
                SELECT 0, 'queued', taken.entrypoint, tenant || '/' || taken.id,
                    convert_to(json_build_object('tenant_id', tenant, 'id', taken.id)::text, 'UTF8')
                FROM taken ORDER BY taken.id
                ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
                RETURNING q.id, q.entrypoint, q.priority, q.status
            ), logged AS (
                INSERT INTO jobs.pgqueuer_log (job_id, entrypoint, priority, status) SELECT * FROM queued
            )
            SELECT count(*) INTO came FROM taken;
        END IF;
        UPDATE tenant_slots s SET admitted = greatest(held - given_back, 0) + came
        WHERE s.tenant_id = tenant AND s.admitted <> greatest(held - given_back, 0) + came;
        RETURN came;
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_admit_jobs({_ADMIT}) IS 'Puts into the queue what the tenant''s share has room for, the oldest first; how many those were. NULL: the tenant is gone, or is being purged. given_back: how many slots were.'",
    # A run is locked before its job, and either in the order of jobs; then, in the order of tenants, what is theirs, with the
    # row of slots last. Two who end jobs wait for each other and never in a circle. Whose run is another's ends nothing.
    f"""
    CREATE FUNCTION atrium_end_jobs({_END}) RETURNS jsonb LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        ended bigint[];
        came integer := 0;
        tenant uuid;
        theirs uuid[];
        given_back integer;
    BEGIN
        IF in_haste THEN
            PERFORM set_config('lock_timeout', '250ms', true);
        END IF;
        WITH mine AS (
            SELECT e.job_id, e.place
            FROM unnest(job_ids, run_tokens) WITH ORDINALITY AS e (job_id, run_token, place)
            JOIN jobs.runs r ON r.job_id = e.job_id AND r.run_token = e.run_token
            ORDER BY e.job_id FOR UPDATE OF r
        ), over AS (
            DELETE FROM jobs.runs r USING mine WHERE r.job_id = mine.job_id
        ), removed AS (
            DELETE FROM jobs.pgqueuer q USING mine WHERE q.id = mine.job_id RETURNING mine.place
        )
        SELECT coalesce(array_agg(removed.place), '{{}}') INTO ended FROM removed;
        FOR tenant, theirs IN
            SELECT e.tenant_id, array_agg(e.id) FROM unnest(tenants, ids) WITH ORDINALITY AS e (tenant_id, id, place)
            WHERE e.place = ANY (ended) GROUP BY e.tenant_id ORDER BY e.tenant_id
        LOOP
            PERFORM set_config('app.tenant_id', tenant::text, true);
            WITH gone AS (
                DELETE FROM tenant_jobs j WHERE j.tenant_id = tenant AND j.id = ANY (theirs) RETURNING j.status
            )
            SELECT count(*) FILTER (WHERE gone.status = 'admitted') INTO given_back FROM gone;
            came := came + coalesce(atrium_admit_jobs(tenant, given_back, share), 0);
        END LOOP;
        RETURN jsonb_build_object('ended', ended, 'came', came);
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_end_jobs({_END}) IS 'Ends the jobs of runs that are the last of theirs, of whichever tenants, gives their slots back, and puts into the queue what comes next: the places of those that it ended, from 1 on, and how many came. in_haste: where somebody holds a row for longer, it is given up.'",
    *(
        statement
        for signature in (f"atrium_read_jobs({_READ})", f"atrium_admit_jobs({_ADMIT})", f"atrium_end_jobs({_END})")
        for statement in (
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO atrium_app",
        )
    ),
)
_DOWN = (
    f"DROP FUNCTION atrium_end_jobs({_END})",
    f"DROP FUNCTION atrium_admit_jobs({_ADMIT})",
    f"DROP FUNCTION atrium_read_jobs({_READ})",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
