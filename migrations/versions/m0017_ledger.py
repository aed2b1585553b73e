"""Reserving before a call and entering it after it, each in one round trip: functions that are a transaction by themselves."""

from alembic import op

revision = "0017"
down_revision = "0016"

_WINDOWS = "window_kinds text[], window_starts timestamptz[], subjects text[], kinds text[]"
_RESERVE = f"tenant uuid, {_WINDOWS}, limits numeric[], to_reserve numeric[], to_use numeric[], ids uuid[], places integer[], amounts numeric[], lease interval"
_ENTER = f"tenant uuid, {_WINDOWS}, limits numeric[], to_use numeric[], warnings numeric[], ids uuid[], records jsonb, sums jsonb"

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

# In both, rows of the ledger are locked in the order of their key before anything else is touched: two who need the same
# ones wait for each other and never in a circle. Plans do not depend on the values, and to plan anew for each call took a
# third of the time. A reservation does not wait for the disk: the call may go on where a crash of the database takes it
# back, and is counted when it ends.
_UP = (
    f"""
    CREATE FUNCTION atrium_reserve({_RESERVE}) RETURNS boolean LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
    DECLARE
        fits boolean;
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true), set_config('synchronous_commit', 'off', true);
        WITH locked AS MATERIALIZED (
            SELECT q.reserved + q.used + a.reserved + a.used <= a.most AS fits
            FROM quota_ledger q
            JOIN unnest(window_kinds, window_starts, subjects, kinds, limits, to_reserve, to_use)
                AS a (window_kind, window_start, subject, kind, most, reserved, used)
                USING (window_kind, window_start, subject, kind)
            ORDER BY q.window_kind, q.window_start, q.subject, q.kind
            FOR UPDATE OF q
        )
        SELECT count(*) = cardinality(kinds) AND bool_and(l.fits) INTO fits FROM locked l;
        IF fits THEN
            UPDATE quota_ledger q SET reserved = q.reserved + a.reserved, used = q.used + a.used
            FROM unnest(window_kinds, window_starts, subjects, kinds, to_reserve, to_use)
                AS a (window_kind, window_start, subject, kind, reserved, used)
            WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (a.window_kind, a.window_start, a.subject, a.kind);
            INSERT INTO quota_reservations (tenant_id, id, window_kind, window_start, subject, kind, amount, expires_at)
            SELECT tenant, h.id, window_kinds[h.place], window_starts[h.place], subjects[h.place], kinds[h.place],
                h.amount, clock_timestamp() + lease
            FROM unnest(ids, places, amounts) AS h (id, place, amount);
        END IF;
        RETURN fits;
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_reserve({_RESERVE}) IS 'Reserves all of it where each of the limits has a row and room; false, and nothing done, where one has not.'",
    f"""
    CREATE FUNCTION atrium_enter({_ENTER}) RETURNS boolean LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
    DECLARE
        warned boolean;
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true);
        IF cardinality(kinds) > 0 THEN
            WITH locked AS MATERIALIZED (
                SELECT q.window_kind, q.used AS before, q.used + s.used AS after, s.most
                FROM quota_ledger q
                JOIN unnest(window_kinds, window_starts, subjects, kinds, limits, to_use)
                    AS s (window_kind, window_start, subject, kind, most, used)
                    USING (window_kind, window_start, subject, kind)
                ORDER BY q.window_kind, q.window_start, q.subject, q.kind
                FOR UPDATE OF q
            )
            SELECT bool_or(l.window_kind = 'month' AND l.before < part * l.most AND l.after >= part * l.most)
            INTO warned FROM locked l, unnest(warnings) AS part;
            IF warned THEN
                RETURN false;
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
        END IF;
        INSERT INTO model_call_logs (tenant_id, {_LOG})
        SELECT tenant, {_LOG} FROM jsonb_populate_recordset(NULL::model_call_logs, records);
        INSERT INTO usage_rollups AS u (tenant_id, {_KEY}, {", ".join(_SUMS)})
        SELECT tenant, {_KEY}, {", ".join(_SUMS)} FROM jsonb_populate_recordset(NULL::usage_rollups, sums)
        ORDER BY {_KEY}
        ON CONFLICT ON CONSTRAINT uq_usage_rollups_day DO UPDATE
        SET {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)};
        RETURN true;
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_enter({_ENTER}) IS 'Writes calls down, counts what they used and gives back what they held; false, and nothing done, where a month passes one of these parts of its limit.'",
    *(
        statement
        for signature in (f"atrium_reserve({_RESERVE})", f"atrium_enter({_ENTER})")
        for statement in (
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO atrium_app",
        )
    ),
)
_DOWN = (f"DROP FUNCTION atrium_enter({_ENTER})", f"DROP FUNCTION atrium_reserve({_RESERVE})")


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
