"""Calls are entered once however often that is tried, and into every month that counts them, whether they claimed of it or not."""

from alembic import op

revision = "0027"
down_revision = "0026"

_SETTLE = "tenant uuid, window_kinds text[], window_starts timestamptz[], subjects text[], kinds text[], limits numeric[], to_use numeric[], warnings numeric[], ids uuid[], records jsonb, sums jsonb"

_LOG = "id, user_id, api_key_id, model_id, prompt_template_version_id, request_kind, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, total_tokens, total_cost, latency_ms, time_to_first_token_ms, status, error_code, finish_reason, trace_id, request_id, created_at, route, attempts, cached"
_KEY = "grain, day, model_id, user_id, api_key_id, prompt_template_version_id"
_SUMS = (
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "errors",
    "latency_ms",
)

# The shared lock keeps a month's row from being made, out of the sums so far, between the moment in which it is looked for
# here and that in which these sums are to be seen. The version before uses `atrium_enter`, which stays for it.
_UP = (
    "ALTER TABLE quota_ledger ADD COLUMN warned TEXT[] DEFAULT '{}' NOT NULL",
    "COMMENT ON COLUMN quota_ledger.warned IS 'What was warned of: limits and parts of them, as limit:part.'",
    f"""
    CREATE FUNCTION atrium_settle({_SETTLE}) RETURNS text LANGUAGE plpgsql AS $$
    DECLARE
        warns boolean;
        entered integer;
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true),
            pg_advisory_xact_lock_shared(hashtextextended('atrium months of ' || tenant, 0));
        IF cardinality(kinds) > 0 THEN
            WITH locked AS MATERIALIZED (
                SELECT q.window_kind, q.used + s.used AS after, s.most, q.warned
                FROM quota_ledger q
                JOIN unnest(window_kinds, window_starts, subjects, kinds, limits, to_use)
                    AS s (window_kind, window_start, subject, kind, most, used)
                    USING (window_kind, window_start, subject, kind)
                ORDER BY q.window_kind, q.window_start, q.subject, q.kind
                FOR UPDATE OF q
            )
            SELECT bool_or(
                l.window_kind = 'month' AND l.after >= part * l.most
                AND trim_scale(l.most) || ':' || part <> ALL (l.warned)
            )
            INTO warns FROM locked l, unnest(warnings) AS part;
            IF warns THEN
                RETURN 'warns';
            END IF;
        END IF;
        INSERT INTO model_call_logs (tenant_id, {_LOG})
        SELECT tenant, {_LOG} FROM jsonb_populate_recordset(NULL::model_call_logs, records)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS entered = ROW_COUNT;
        IF entered < jsonb_array_length(records) THEN
            IF entered > 0 THEN
                RAISE EXCEPTION 'some of the calls were entered before, and some were not';
            END IF;
            RETURN 'repeated';
        END IF;
        WITH gone AS (
            DELETE FROM quota_reservations WHERE id = ANY (ids)
            RETURNING window_kind, window_start, subject, kind, amount
        ), freed AS (
            SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
            FROM gone GROUP BY window_kind, window_start, subject, kind
        )
        UPDATE quota_ledger q SET reserved = q.reserved - coalesce(f.amount, 0), used = q.used + s.used
        FROM unnest(window_kinds, window_starts, subjects, kinds, to_use)
            AS s (window_kind, window_start, subject, kind, used)
        LEFT JOIN freed f USING (window_kind, window_start, subject, kind)
        WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (s.window_kind, s.window_start, s.subject, s.kind);
        INSERT INTO usage_rollups AS u (tenant_id, {_KEY}, {", ".join(_SUMS)})
        SELECT tenant, {_KEY}, {", ".join(_SUMS)} FROM jsonb_populate_recordset(NULL::usage_rollups, sums)
        ORDER BY {_KEY}
        ON CONFLICT ON CONSTRAINT uq_usage_rollups_day DO UPDATE
        SET {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)};
        RETURN 'entered';
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_settle({_SETTLE}) IS 'Writes calls down, counts what they used and gives back what they held: entered; repeated, and nothing done, where these calls are there already; warns, and nothing done, where a month passes one of these parts of its limit that was not warned of.'",
    f"REVOKE ALL ON FUNCTION atrium_settle({_SETTLE}) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION atrium_settle({_SETTLE}) TO atrium_app",
)
_DOWN = (
    f"DROP FUNCTION atrium_settle({_SETTLE})",
    "ALTER TABLE quota_ledger DROP COLUMN warned",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
