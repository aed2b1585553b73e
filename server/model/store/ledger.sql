-- The ledger of limits: one row a limit and window, which says what is used of it and what calls under way may yet use.
--
-- Whoever changes rows locks them first, always in the order of their key, so that two who need the same rows wait for
-- each other and never in a circle. `reserved` is the sum of what holds have of the row, of calls under way and to come.
--
-- What has expired is looked for by an index over all with an end, by the moment of the statement: it serves no volatile one.
--
-- Arrays come as their text: to write and read them element by element cost a call 80 µs, a sixth of both ways.

-- name: lock
-- The rows of these limits that there are, held until the transaction ends, as they are now.
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved, q.used, q.warned
FROM unnest(:window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[])
    AS w (window_kind, window_start, subject, kind)
JOIN quota_ledger q USING (window_kind, window_start, subject, kind)
ORDER BY q.window_kind, q.window_start, q.subject, q.kind
FOR UPDATE OF q

-- name: hold_months
-- Waits for the calls that are being entered, and lets none be until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('atrium months of ' || :tenant_id::uuid, 0))

-- name: share_months
-- Holds off whoever makes rows of months. Before rows are locked: `enter` does so first of all.
SELECT pg_advisory_xact_lock_shared(hashtextextended('atrium months of ' || :tenant_id::uuid, 0))

-- name: open
-- Makes the rows that are missing. A month begins with what was used in it before its limit was set.
INSERT INTO quota_ledger (tenant_id, window_kind, window_start, subject, kind, used)
SELECT :tenant_id::uuid, w.window_kind, w.window_start, w.subject, w.kind, coalesce((
    SELECT sum(CASE w.kind WHEN 'cost' THEN u.cost ELSE u.prompt_tokens + u.completion_tokens END)
    FROM usage_rollups u
    WHERE w.window_kind = 'month' AND w.kind IN ('cost', 'tokens')
        AND u.day >= (w.window_start AT TIME ZONE 'UTC')::date
        AND CASE split_part(w.subject, '/', 1)
            WHEN 'user' THEN u.grain = 'user' AND u.user_id = split_part(w.subject, '/', 2)::uuid
            WHEN 'api_key' THEN u.grain = 'api_key' AND u.api_key_id = split_part(w.subject, '/', 2)::uuid
            ELSE u.grain = 'model' END
), 0)
FROM unnest(:window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[])
    AS w (window_kind, window_start, subject, kind)
ORDER BY w.window_kind, w.window_start, w.subject, w.kind
ON CONFLICT DO NOTHING

-- name: expired
-- What dead processes have left, by itself and by the limits that it holds; on servers of the version before too.
SELECT h.id, w.window_kind, w.window_start, w.subject, w.kind
FROM quota_holds h, unnest(h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts)
    AS w (window_kind, window_start, subject, kind, amount)
WHERE h.expires_at < statement_timestamp() AND w.amount > 0
UNION ALL
SELECT id, window_kind, window_start, subject, kind FROM quota_reservations
WHERE expires_at < statement_timestamp() AND amount >= 0

-- name: can_be_freed
-- Whether any of these limits is held by what dead processes have left, or for calls that are yet to come.
WITH looked_at AS (
    SELECT * FROM unnest(
        :window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[]
    ) AS l (window_kind, window_start, subject, kind)
)
SELECT EXISTS (
    SELECT FROM quota_holds h, unnest(h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts)
        AS w (window_kind, window_start, subject, kind, amount)
    WHERE (h.spare OR h.expires_at < statement_timestamp()) AND w.amount > 0
        AND (w.window_kind, w.window_start, w.subject, w.kind) IN (SELECT * FROM looked_at)
) OR EXISTS (
    SELECT FROM quota_reservations r
    WHERE r.expires_at < statement_timestamp() AND r.amount >= 0
        AND (r.window_kind, r.window_start, r.subject, r.kind) IN (SELECT * FROM looked_at)
)

-- name: expire
-- Removes those of these that have expired, and gives what they held of limits whose rows the transaction holds. One that is
-- just being settled is passed over: who settles it waits for those rows.
WITH gone AS (
    DELETE FROM quota_holds WHERE id IN (
        SELECT id FROM quota_holds WHERE id = ANY (:ids::uuid[]) AND expires_at < statement_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    RETURNING window_kinds, window_starts, subjects, kinds, amounts
), gone_before AS (
    DELETE FROM quota_reservations WHERE id IN (
        SELECT id FROM quota_reservations WHERE id = ANY (:ids::uuid[]) AND expires_at < statement_timestamp()
        FOR UPDATE SKIP LOCKED
    )
    RETURNING window_kind, window_start, subject, kind, amount
), freed AS (
    SELECT w.* FROM gone g, unnest(g.window_kinds, g.window_starts, g.subjects, g.kinds, g.amounts)
        AS w (window_kind, window_start, subject, kind, amount)
    UNION ALL
    SELECT * FROM gone_before
)
SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
FROM freed GROUP BY window_kind, window_start, subject, kind

-- name: give_back
-- Takes from what is reserved of these limits, whose rows the transaction holds.
UPDATE quota_ledger q SET reserved = q.reserved - d.amount
FROM unnest(
    :window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[], :amounts::text::numeric[]
) AS d (window_kind, window_start, subject, kind, amount)
WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (d.window_kind, d.window_start, d.subject, d.kind)

-- name: reserve
-- The short way in, a transaction by itself: a function, since a statement of its own for each step would cost a round trip.
-- Reserves for calls where every limit has its row and room for all of them; else it does nothing.
SELECT atrium_reserve_calls(
    :tenant_id::uuid,
    :window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[],
    :limits::text::numeric[], :to_reserve::text::numeric[], :to_use::text::numeric[],
    :ids::uuid[], :held::text::numeric[], make_interval(secs => :seconds::float8)
)

-- name: enter
-- The way out, likewise: writes calls down, removes their holds, gives back what those of them held that had not expired, adds
-- what the calls used to what counts it and to the day's sums, and holds something for calls to come. It does nothing where the
-- calls are written down already, where a month passes one of the parts of its limit that are to be warned of, and where
-- something is held for calls to come and more than that share of a limit is used and reserved. What was noted of calls that
-- are written down is removed from the journal.
SELECT atrium_count_calls(
    :tenant_id::uuid,
    :window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[],
    :limits::text::numeric[], :to_reserve::text::numeric[], :to_use::text::numeric[], :warnings::text::numeric[], :share::text::numeric,
    :ids::uuid[], :held::text::numeric[], :spares::uuid[], :spared::text::numeric[], make_interval(secs => :seconds::float8),
    :records::jsonb, :sums::jsonb
)

-- name: spares
-- What processes that live have of these limits for calls that are yet to come.
SELECT h.id FROM quota_holds h
WHERE h.spare AND h.expires_at >= statement_timestamp() AND EXISTS (
    SELECT FROM unnest(h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts)
        AS w (window_kind, window_start, subject, kind, amount)
    WHERE w.amount > 0 AND (w.window_kind, w.window_start, w.subject, w.kind) IN (
        SELECT * FROM unnest(
            :window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[]
        )
    )
)

-- name: lend
-- These are of calls under way.
UPDATE quota_holds SET spare = false
WHERE id IN (SELECT id FROM quota_holds WHERE id = ANY (:ids::uuid[]) FOR UPDATE SKIP LOCKED)

-- name: warned
-- Notes what was warned of, on a row that the transaction holds.
UPDATE quota_ledger SET warned = warned || :warned::text[]
WHERE (window_kind, window_start, subject, kind)
    = (:window_kind::text, :window_start::timestamptz, :subject::text, :kind::text)

-- name: extend
-- Keeps the holds of calls that are still under way; not those that are just being settled, which nobody needs any more.
UPDATE quota_holds SET expires_at = clock_timestamp() + make_interval(secs => :seconds::float8)
WHERE id IN (SELECT id FROM quota_holds WHERE id = ANY (:ids::uuid[]) FOR UPDATE SKIP LOCKED)

-- name: prune
-- Removes the minutes that are long over, but for those that somebody has locked, who may wait for others of them.
DELETE FROM quota_ledger WHERE (window_kind, window_start, subject, kind) IN (
    SELECT window_kind, window_start, subject, kind FROM quota_ledger
    WHERE window_kind = 'minute' AND window_start < now() - interval '1 hour' AND reserved = 0
    FOR UPDATE SKIP LOCKED
)

-- name: read
-- What the limits stand at, without holding them. What a dead process has left on them stands in nobody's way, and does
-- not count, though it is held until somebody needs it.
WITH left_behind AS (
    SELECT w.* FROM quota_holds h, unnest(h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts)
        AS w (window_kind, window_start, subject, kind, amount)
    WHERE h.expires_at < statement_timestamp()
    UNION ALL
    SELECT window_kind, window_start, subject, kind, amount FROM quota_reservations
    WHERE expires_at < statement_timestamp() AND amount >= 0
), gone AS (
    SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
    FROM left_behind GROUP BY window_kind, window_start, subject, kind
)
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved - coalesce(g.amount, 0) AS reserved, q.used, q.warned
FROM unnest(:window_kinds::text::text[], :window_starts::text::timestamptz[], :subjects::text::text[], :kinds::text::text[])
    AS w (window_kind, window_start, subject, kind)
JOIN quota_ledger q USING (window_kind, window_start, subject, kind)
LEFT JOIN gone g USING (window_kind, window_start, subject, kind)
