"""A reservation is found by its key, whatever the statistics say of a table whose rows are gone in a moment.

They know of few rows of a tenant, so that reading all of them by the tenant alone looks as cheap as going by the keys, and is
kept as the plan: what is read then is all that is reserved, and all that was since the last vacuum. So each is removed by
itself, which no other index serves. That a reservation refers to its limit is given up with the index that this needs: no
limit with something reserved is removed.
"""

from alembic import op

revision = "0031"
down_revision = "0030"

_LEDGER = "tenant_id, window_kind, window_start, subject, kind"
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

_ONE_BY_ONE = """
        FOREACH reservation IN ARRAY ids LOOP
            DELETE FROM quota_reservations r WHERE r.tenant_id = tenant AND r.id = reservation RETURNING r.* INTO held;
            IF FOUND THEN
                gone := gone || held;
            END IF;
        END LOOP;
        UPDATE quota_ledger q SET reserved = q.reserved - coalesce(f.amount, 0), used = q.used + s.used
        FROM unnest(window_kinds, window_starts, subjects, kinds, to_use)
            AS s (window_kind, window_start, subject, kind, used)
        LEFT JOIN (
            SELECT g.window_kind, g.window_start, g.subject, g.kind, sum(g.amount) AS amount
            FROM unnest(gone) g GROUP BY g.window_kind, g.window_start, g.subject, g.kind
        ) f USING (window_kind, window_start, subject, kind)
        WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (s.window_kind, s.window_start, s.subject, s.kind);
"""
_AS_A_LIST = """
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
"""


def _settle(give_back: str, settings: str = "") -> str:
    return f"""
    CREATE OR REPLACE FUNCTION atrium_settle({_SETTLE}) RETURNS text LANGUAGE plpgsql {settings} AS $$
    DECLARE
        warns boolean;
        entered integer;
        reservation uuid;
        held quota_reservations;
        gone quota_reservations[];
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
        {give_back}
        INSERT INTO usage_rollups AS u (tenant_id, {_KEY}, {", ".join(_SUMS)})
        SELECT tenant, {_KEY}, {", ".join(_SUMS)} FROM jsonb_populate_recordset(NULL::usage_rollups, sums)
        ORDER BY {_KEY}
        ON CONFLICT ON CONSTRAINT uq_usage_rollups_day DO UPDATE
        SET {", ".join(f"{name} = u.{name} + EXCLUDED.{name}" for name in _SUMS)};
        RETURN 'entered';
    END
    $$
    """


_UP = (
    "ALTER TABLE quota_reservations DROP CONSTRAINT fk_quota_reservations_ledger",
    "DROP INDEX ix_quota_reservations_ledger",
    "DROP INDEX ix_quota_reservations_expires_at",
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at) WHERE amount >= 0",
    _settle(_ONE_BY_ONE, "SET enable_seqscan = off"),
)
_DOWN = (
    _settle(_AS_A_LIST),
    "DROP INDEX ix_quota_reservations_expires_at",
    "CREATE INDEX ix_quota_reservations_expires_at ON quota_reservations (tenant_id, expires_at)",
    f"CREATE INDEX ix_quota_reservations_ledger ON quota_reservations ({_LEDGER})",
    f"""
    ALTER TABLE quota_reservations ADD CONSTRAINT fk_quota_reservations_ledger
    FOREIGN KEY ({_LEDGER}) REFERENCES quota_ledger ({_LEDGER}) ON DELETE CASCADE
    """,
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
