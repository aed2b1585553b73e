-- The ledger of limits: one row a limit and window, which says what is used of it and what calls under way may yet use.
--
-- Whoever changes rows locks them first, always in the order of their key, so that two who need the same rows wait for
-- each other and never in a circle. `reserved` is the sum of the reservations that refer to the row.
--
-- What has expired is looked for by an index over all with an amount, by the moment of the statement: it serves no volatile
-- one.

-- name: lock
-- The rows of these limits that there are, held until the transaction ends, as they are now.
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved, q.used, q.warned
FROM unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
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
FROM unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
    AS w (window_kind, window_start, subject, kind)
ORDER BY w.window_kind, w.window_start, w.subject, w.kind
ON CONFLICT DO NOTHING

-- name: expire
-- Removes the reservations on these limits that a dead process has left, and gives what they held.
WITH gone AS (
    DELETE FROM quota_reservations r
    USING unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
        AS w (window_kind, window_start, subject, kind)
    WHERE (r.window_kind, r.window_start, r.subject, r.kind) = (w.window_kind, w.window_start, w.subject, w.kind)
        AND r.expires_at < statement_timestamp() AND r.amount >= 0
    RETURNING r.window_kind, r.window_start, r.subject, r.kind, r.amount
)
SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
FROM gone GROUP BY window_kind, window_start, subject, kind

-- name: expired
-- The limits on which a dead process has left reservations.
SELECT DISTINCT window_kind, window_start, subject, kind FROM quota_reservations
WHERE expires_at < statement_timestamp() AND amount >= 0

-- name: give_back
-- Takes from what is reserved of these limits, whose rows the transaction holds.
UPDATE quota_ledger q SET reserved = q.reserved - d.amount
FROM unnest(
    :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[], :amounts::numeric[]
) AS d (window_kind, window_start, subject, kind, amount)
WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (d.window_kind, d.window_start, d.subject, d.kind)

-- name: reserve
-- The short way in, a transaction by itself: a function, since a statement of its own for each step would cost a round trip.
-- Reserves for calls where every limit has its row and room for all of them; else it does nothing.
SELECT atrium_reserve(
    :tenant_id::uuid, :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[],
    :limits::numeric[], :to_reserve::numeric[], :to_use::numeric[],
    :ids::uuid[], :places::int[], :amounts::numeric[], make_interval(secs => :seconds::float8)
)

-- name: enter
-- The way out, likewise: writes calls down, removes their reservations, gives back what those of them held that had not
-- expired, adds what the calls used to what counts it and to the day's sums. It does nothing where the calls are written
-- down already, and where a month passes one of the parts of its limit that are to be warned of.
SELECT atrium_settle(
    :tenant_id::uuid, :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[],
    :limits::numeric[], :to_use::numeric[], :warnings::numeric[], :ids::uuid[], :records::jsonb, :sums::jsonb
)

-- name: warned
-- Notes what was warned of, on a row that the transaction holds.
UPDATE quota_ledger SET warned = warned || :warned::text[]
WHERE (window_kind, window_start, subject, kind)
    = (:window_kind::text, :window_start::timestamptz, :subject::text, :kind::text)

-- name: extend
-- Keeps the reservations of calls that are still under way.
UPDATE quota_reservations SET expires_at = clock_timestamp() + make_interval(secs => :seconds::float8)
WHERE id = ANY (:ids::uuid[])

-- name: prune
-- Removes the minutes that are long over.
DELETE FROM quota_ledger
WHERE window_kind = 'minute' AND window_start < now() - interval '1 hour' AND reserved = 0

-- name: read
-- What the limits stand at, without holding them. What a dead process has left on them stands in nobody's way, and does
-- not count, though it is held until somebody needs it.
WITH gone AS (
    SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
    FROM quota_reservations WHERE expires_at < statement_timestamp() AND amount >= 0
    GROUP BY window_kind, window_start, subject, kind
)
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved - coalesce(g.amount, 0) AS reserved, q.used, q.warned
FROM unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
    AS w (window_kind, window_start, subject, kind)
JOIN quota_ledger q USING (window_kind, window_start, subject, kind)
LEFT JOIN gone g USING (window_kind, window_start, subject, kind)
