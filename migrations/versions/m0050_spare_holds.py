"""A process may hold a part of limits for its next calls.

The version before enters calls by `atrium_settle_calls`, which stays for it. What is held for calls to come is to it what calls
under way have: beside the new one, its callers may be refused for it, for a second.
"""

from alembic import op

revision = "0050"
down_revision = "0049"

_WINDOWS = "window_kinds text[], window_starts timestamptz[], subjects text[], kinds text[]"
_ENTER = f"tenant uuid, {_WINDOWS}, limits numeric[], to_reserve numeric[], to_use numeric[], warnings numeric[], share numeric, ids uuid[], held numeric[], spares uuid[], spared numeric[], lease interval, records jsonb, sums jsonb"
_BY_KEY = "SET plan_cache_mode = force_generic_plan " + " ".join(
    f"SET enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin")
)

_LOG = "id, user_id, api_key_id, model_id, prompt_template_version_id, request_kind, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, total_tokens, total_cost, latency_ms, time_to_first_token_ms, status, error_code, finish_reason, trace_id, request_id, created_at, route, attempts, cached, workflow_execution_id, task_id"
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

_UP = (
    "ALTER TABLE quota_holds ADD COLUMN spare BOOLEAN DEFAULT false NOT NULL",
    "COMMENT ON COLUMN quota_holds.spare IS 'Whether its process may hold it for a call that is yet to come.'",
    f"""
    CREATE FUNCTION atrium_enter_calls({_ENTER}) RETURNS text LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        differs boolean;
        entered integer;
        hold uuid;
        place integer := 0;
        found_at integer[];
        width integer := cardinality(kinds);
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true),
            pg_advisory_xact_lock_shared(hashtextextended('atrium months of ' || tenant, 0));
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
                reserved = q.reserved + s.reserved
                    - coalesce((SELECT sum(held[f.before + s.place]) FROM unnest(found_at) f (before)), 0)
            FROM (
                SELECT * FROM unnest(window_kinds, window_starts, subjects, kinds, limits, to_reserve, to_use) WITH ORDINALITY
                    AS s (window_kind, window_start, subject, kind, most, reserved, used, place)
                ORDER BY window_kind, window_start, subject, kind LIMIT width
            ) s
            WHERE (q.tenant_id, q.window_kind, q.window_start, q.subject, q.kind)
                = (tenant, s.window_kind, s.window_start, s.subject, s.kind)
            RETURNING q.window_kind, q.reserved, q.used, q.warned, s.most
        )
        SELECT bool_or(
            c.reserved + c.used > share * c.most
            OR c.window_kind = 'month' AND EXISTS (
                SELECT FROM unnest(warnings) AS part
                WHERE c.used >= part * c.most AND trim_scale(c.most) || ':' || part <> ALL (c.warned)
            )
        )
        INTO differs FROM changed c;
        IF differs THEN
            RAISE SQLSTATE 'AT001';
        END IF;
        IF cardinality(spares) > 0 THEN
            INSERT INTO quota_holds
                (tenant_id, id, window_kinds, window_starts, subjects, kinds, amounts, expires_at, spare)
            SELECT tenant, h.id, window_kinds, window_starts, subjects, kinds,
                spared[(h.place - 1) * width + 1 : h.place * width], clock_timestamp() + lease, true
            FROM unnest(spares) WITH ORDINALITY AS h (id, place);
        END IF;
        INSERT INTO usage_rollups AS u (tenant_id, {_KEY}, {", ".join(_SUMS)})
        SELECT tenant, {_KEY}, {", ".join(_SUMS)} FROM jsonb_populate_recordset(NULL::usage_rollups, sums)
        ORDER BY {_KEY}
        ON CONFLICT ON CONSTRAINT uq_usage_rollups_day DO UPDATE
        SET {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)};
        RETURN 'entered';
    EXCEPTION WHEN SQLSTATE 'AT001' THEN
        RETURN 'differs';
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_enter_calls({_ENTER}) IS 'Writes calls down, gives back what they held that was not given up, counts what they used, and holds something for calls to come. repeated, and nothing done: they are written down already; differs, and nothing done: a month passes one of these parts of its limit, or more than the share of a limit is in use. held, spared: for each of the ids and the spares, how much of each limit.'",
    f"REVOKE ALL ON FUNCTION atrium_enter_calls({_ENTER}) FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION atrium_enter_calls({_ENTER}) TO atrium_app",
)
_DOWN = (
    f"DROP FUNCTION atrium_enter_calls({_ENTER})",
    "ALTER TABLE quota_holds DROP COLUMN spare",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
