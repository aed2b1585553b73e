"""What a call reserves is one row, however many limits it counts in, and each limit's row is found and changed once.

The version before keeps a row for each limit and call, in `quota_reservations`, by `atrium_reserve` and `atrium_settle`: they
stay for it. What its dead servers leave there is given up with the rest.
"""

from alembic import op

revision = "0038"
down_revision = "0037"

_OWN = "tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid"
_WINDOWS = "window_kinds text[], window_starts timestamptz[], subjects text[], kinds text[]"
_RESERVE = f"tenant uuid, {_WINDOWS}, limits numeric[], to_reserve numeric[], to_use numeric[], ids uuid[], held numeric[], lease interval"
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

_UP = (
    """
    CREATE TABLE quota_holds (
        tenant_id UUID NOT NULL,
        id UUID DEFAULT atrium_uuid7() NOT NULL,
        window_kinds TEXT[] NOT NULL,
        window_starts TIMESTAMP WITH TIME ZONE[] NOT NULL,
        subjects TEXT[] NOT NULL,
        kinds TEXT[] NOT NULL,
        amounts NUMERIC[] NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_quota_holds PRIMARY KEY (tenant_id, id),
        CONSTRAINT fk_quota_holds_tenant_id FOREIGN KEY(tenant_id) REFERENCES tenants (id)
    )
    """,
    # It leaves out no row: see that of quota_reservations.
    "CREATE INDEX ix_quota_holds_expires_at ON quota_holds (tenant_id, expires_at) WHERE expires_at IS NOT NULL",
    "COMMENT ON TABLE quota_holds IS 'What calls under way may yet use of the limits that they count in.'",
    "COMMENT ON COLUMN quota_holds.tenant_id IS 'The tenant whose row it is.'",
    "COMMENT ON COLUMN quota_holds.id IS 'A version 7 UUID: its order is the order of making.'",
    "COMMENT ON COLUMN quota_holds.window_kinds IS 'Of each limit: minute, month, or none for what counts at any moment.'",
    "COMMENT ON COLUMN quota_holds.window_starts IS 'Of each limit: when its window began.'",
    "COMMENT ON COLUMN quota_holds.subjects IS 'Of each limit: whose it is.'",
    "COMMENT ON COLUMN quota_holds.kinds IS 'Of each limit: requests, tokens, cost or parallel.'",
    "COMMENT ON COLUMN quota_holds.amounts IS 'Of each limit: how much is held; 0: nothing.'",
    "COMMENT ON COLUMN quota_holds.expires_at IS 'When it is given up, unless its process keeps it.'",
    "COMMENT ON COLUMN quota_holds.created_at IS 'When it was made.'",
    "COMMENT ON TABLE quota_reservations IS 'Amounts held for calls under way on servers of the version before.'",
    "ALTER TABLE quota_holds ENABLE ROW LEVEL SECURITY",
    f"CREATE POLICY tenant_isolation ON quota_holds USING ({_OWN}) WITH CHECK ({_OWN})",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON quota_holds TO atrium_app",
    # In both, rows of the ledger are changed in the order of their key: two who need the same ones wait for each other and
    # never in a circle. To look at them first and to change them then took as long again. What does not come to pass is
    # undone by the error at its end, which the function itself catches.
    f"""
    CREATE FUNCTION atrium_reserve_calls({_RESERVE}) RETURNS boolean LANGUAGE plpgsql {_BY_KEY} AS $$
    DECLARE
        fits boolean;
        width integer := cardinality(kinds);
    BEGIN
        PERFORM set_config('app.tenant_id', tenant::text, true), set_config('synchronous_commit', 'off', true);
        -- A block of its own: what its error undoes are settings too, and a refusal would wait for the disk.
        BEGIN
            WITH changed AS (
                UPDATE quota_ledger q SET reserved = q.reserved + a.reserved, used = q.used + a.used
                FROM (
                    SELECT * FROM unnest(window_kinds, window_starts, subjects, kinds, limits, to_reserve, to_use)
                        AS a (window_kind, window_start, subject, kind, most, reserved, used)
                    ORDER BY window_kind, window_start, subject, kind LIMIT width
                ) a
                WHERE (q.tenant_id, q.window_kind, q.window_start, q.subject, q.kind)
                    = (tenant, a.window_kind, a.window_start, a.subject, a.kind)
                RETURNING q.reserved + q.used <= a.most AS fits
            )
            SELECT count(*) = width AND bool_and(c.fits) INTO fits FROM changed c;
            IF fits IS NOT TRUE THEN
                RAISE SQLSTATE 'AT001';
            END IF;
            INSERT INTO quota_holds (tenant_id, id, window_kinds, window_starts, subjects, kinds, amounts, expires_at)
            SELECT tenant, h.id, window_kinds, window_starts, subjects, kinds, held[(h.place - 1) * width + 1 : h.place * width],
                clock_timestamp() + lease
            FROM unnest(ids) WITH ORDINALITY AS h (id, place);
            RETURN true;
        EXCEPTION WHEN SQLSTATE 'AT001' THEN
            RETURN false;
        END;
    END
    $$
    """,
    f"COMMENT ON FUNCTION atrium_reserve_calls({_RESERVE}) IS 'Reserves all of it where each of the limits has a row and room; false, and nothing done, where one has not. held: for each of the ids, what it holds of each limit.'",
    # Whose hold is gone has had it given up: nothing of it is given back twice. Whoever gives holds up passes over those that
    # are being settled.
    f"""
    CREATE FUNCTION atrium_settle_calls({_SETTLE}) RETURNS text LANGUAGE plpgsql {_BY_KEY} AS $$
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
    """,
    f"COMMENT ON FUNCTION atrium_settle_calls({_SETTLE}) IS 'Writes calls down, gives back what they held that was not given up, and counts what they used. repeated, and nothing done: they are written down already; warns, and nothing done: a month passes one of these parts of its limit. held: for each of the ids, what it held of each limit.'",
    *(
        statement
        for signature in (f"atrium_reserve_calls({_RESERVE})", f"atrium_settle_calls({_SETTLE})")
        for statement in (
            f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {signature} TO atrium_app",
        )
    ),
)
_DOWN = (
    # Nobody adds a hold between the look at them and their end.
    "LOCK TABLE quota_holds IN ACCESS EXCLUSIVE MODE",
    f"DROP FUNCTION atrium_settle_calls({_SETTLE})",
    f"DROP FUNCTION atrium_reserve_calls({_RESERVE})",
    # Each limit's part becomes a row of its own, that is given up as the whole would have been.
    """
    INSERT INTO quota_reservations (tenant_id, window_kind, window_start, subject, kind, amount, expires_at)
    SELECT h.tenant_id, w.window_kind, w.window_start, w.subject, w.kind, w.amount, h.expires_at
    FROM quota_holds h, unnest(h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts)
        AS w (window_kind, window_start, subject, kind, amount)
    WHERE w.amount > 0
    """,
    "DROP TABLE quota_holds",
    "COMMENT ON TABLE quota_reservations IS 'Amounts held for calls under way.'",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
