"""What models are called for in executions of workflows is written down with the execution and the task.

The version before writes down neither, and goes on with this.
"""

from alembic import op

revision = "0048"
down_revision = "0047"

_WINDOWS = "window_kinds text[], window_starts timestamptz[], subjects text[], kinds text[]"
_SETTLE = f"tenant uuid, {_WINDOWS}, limits numeric[], to_use numeric[], warnings numeric[], ids uuid[], held numeric[], records jsonb, sums jsonb"
_BY_KEY = "SET plan_cache_mode = force_generic_plan " + " ".join(
    f"SET enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)

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


def _settle(log: str) -> str:
    return f"""
    CREATE OR REPLACE FUNCTION atrium_settle_calls({_SETTLE}) RETURNS text LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        warns boolean;
        entered integer;
        hold uuid;
        place integer := 0;
        found_at integer[];
        width integer := cardinality(kinds);
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true),
            pg_advisory_xact_lock_shared(hashtextextended('atrium months of ' || tenant, 0));
        INSERT INTO model_call_logs (tenant_id, {log})
        SELECT tenant, {log} FROM jsonb_populate_recordset(NULL::model_call_logs, records)
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS entered = ROW_COUNT;
        IF entered < jsonb_array_length(records) THEN
            IF entered > 0 THEN
                RAISE EXCEPTION 'some of the calls were entered before, and some were not';
            END IF;
            RETURN 'repeated';
        END IF;
        FOREACH hold IN ARRAY ids LOOP
            DELETE FROM quota_holds h WHERE h.tenant_id = tenant AND h.id = hold;
            IF FOUND THEN
                found_at := found_at || place;
            END IF;
            place := place + width;
        END LOOP;
        WITH changed AS (
            UPDATE quota_ledger q
            SET used = q.used + s.used,
                reserved = q.reserved - coalesce((SELECT sum(held[f.before + s.place]) FROM unnest(found_at) f (before)), 0)
            FROM (
                SELECT * FROM unnest(window_kinds, window_starts, subjects, kinds, limits, to_use) WITH ORDINALITY
                    AS s (window_kind, window_start, subject, kind, most, used, place)
                ORDER BY window_kind, window_start, subject, kind LIMIT width
            ) s
            WHERE (q.tenant_id, q.window_kind, q.window_start, q.subject, q.kind)
                = (tenant, s.window_kind, s.window_start, s.subject, s.kind)
            RETURNING q.window_kind, q.used, q.warned, s.most
        )
        SELECT bool_or(
            c.window_kind = 'month' AND c.used >= part * c.most AND trim_scale(c.most) || ':' || part <> ALL (c.warned)
        )
        INTO warns FROM changed c, unnest(warnings) AS part;
        IF warns THEN
            RAISE SQLSTATE 'AT001';
        END IF;
        INSERT INTO usage_rollups AS u (tenant_id, {_KEY}, {", ".join(_SUMS)})
        SELECT tenant, {_KEY}, {", ".join(_SUMS)} FROM jsonb_populate_recordset(NULL::usage_rollups, sums)
        ORDER BY {_KEY}
        ON CONFLICT ON CONSTRAINT uq_usage_rollups_day DO UPDATE
        SET {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)};
        RETURN 'entered';
    EXCEPTION WHEN SQLSTATE 'AT001' THEN
        RETURN 'warns';
    END
    $$
    """


_UP = (_settle(f"{_LOG}, workflow_execution_id, task_id"),)
_DOWN = (_settle(_LOG),)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
