-- The ledger of limits: one row a limit and window, which says what is used of it and what calls under way may yet use.
--
-- Whoever changes rows locks them first, always in the order of their key, so that two who need the same rows wait for
-- each other and never in a circle. `reserved` is the sum of the reservations that refer to the row.

-- name: lock
-- The rows of these limits that there are, held until the transaction ends, as they are now.
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved, q.used
FROM unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
    AS w (window_kind, window_start, subject, kind)
JOIN quota_ledger q USING (window_kind, window_start, subject, kind)
ORDER BY q.window_kind, q.window_start, q.subject, q.kind
FOR UPDATE OF q

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
        AND r.expires_at < clock_timestamp()
    RETURNING r.window_kind, r.window_start, r.subject, r.kind, r.amount
)
SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
FROM gone GROUP BY window_kind, window_start, subject, kind

-- name: expired
-- The limits on which a dead process has left reservations.
SELECT DISTINCT window_kind, window_start, subject, kind FROM quota_reservations WHERE expires_at < clock_timestamp()

-- name: change
-- Adds to what is reserved and used of these limits, whose rows the transaction holds.
UPDATE quota_ledger q SET reserved = q.reserved + d.reserved, used = q.used + d.used
FROM unnest(
    :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[],
    :reserved::numeric[], :used::numeric[]
) AS d (window_kind, window_start, subject, kind, reserved, used)
WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (d.window_kind, d.window_start, d.subject, d.kind)

-- name: hold
-- The same, and writes down what calls under way may yet use.
WITH held AS (
    INSERT INTO quota_reservations (tenant_id, id, window_kind, window_start, subject, kind, amount, expires_at)
    SELECT :tenant_id::uuid, h.id, h.window_kind, h.window_start, h.subject, h.kind, h.amount,
        clock_timestamp() + make_interval(secs => :seconds::float8)
    FROM unnest(
        :ids::uuid[], :held_window_kinds::text[], :held_window_starts::timestamptz[], :held_subjects::text[],
        :held_kinds::text[], :amounts::numeric[]
    ) AS h (id, window_kind, window_start, subject, kind, amount)
)
UPDATE quota_ledger q SET reserved = q.reserved + d.reserved, used = q.used + d.used
FROM unnest(
    :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[],
    :reserved::numeric[], :used::numeric[]
) AS d (window_kind, window_start, subject, kind, reserved, used)
WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (d.window_kind, d.window_start, d.subject, d.kind)

-- name: settle
-- Removes the reservations of calls that are over, gives back what those of them held that had not expired, and adds what
-- the calls used; what the limits stand at now. The rows are locked before a reservation is touched (the count makes it
-- so), as everyone does who removes reservations; each is changed as it is then, and not as it was when this began.
WITH settled AS (
    SELECT * FROM unnest(
        :window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[], :used::numeric[]
    ) AS s (window_kind, window_start, subject, kind, used)
), locked AS MATERIALIZED (
    SELECT q.window_kind, q.window_start, q.subject, q.kind
    FROM quota_ledger q JOIN settled USING (window_kind, window_start, subject, kind)
    ORDER BY q.window_kind, q.window_start, q.subject, q.kind
    FOR UPDATE OF q
), gone AS (
    DELETE FROM quota_reservations WHERE id = ANY (:ids::uuid[]) AND (SELECT count(*) FROM locked) >= 0
    RETURNING window_kind, window_start, subject, kind, amount
), freed AS (
    SELECT window_kind, window_start, subject, kind, sum(amount) AS amount
    FROM gone GROUP BY window_kind, window_start, subject, kind
)
UPDATE quota_ledger q SET reserved = q.reserved - coalesce(f.amount, 0), used = q.used + s.used
FROM settled s LEFT JOIN freed f USING (window_kind, window_start, subject, kind)
WHERE (q.window_kind, q.window_start, q.subject, q.kind) = (s.window_kind, s.window_start, s.subject, s.kind)
RETURNING q.window_kind, q.window_start, q.subject, q.kind, q.reserved, q.used

-- name: extend
-- Keeps the reservations of calls that are still under way.
UPDATE quota_reservations SET expires_at = clock_timestamp() + make_interval(secs => :seconds::float8)
WHERE id = ANY (:ids::uuid[])

-- name: prune
-- Removes the minutes that are long over.
DELETE FROM quota_ledger
WHERE window_kind = 'minute' AND window_start < now() - interval '1 hour' AND reserved = 0

-- name: read
-- What is used of these limits, without holding them.
SELECT q.window_kind, q.window_start, q.subject, q.kind, q.reserved, q.used
FROM unnest(:window_kinds::text[], :window_starts::timestamptz[], :subjects::text[], :kinds::text[])
    AS w (window_kind, window_start, subject, kind)
JOIN quota_ledger q USING (window_kind, window_start, subject, kind)
