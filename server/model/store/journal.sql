-- The journal: calls that are over, each with what it was lent of limits, until they are counted among the records, the sums
-- and the limits. Who counts one removes it in the same transaction.

-- name: note
-- A transaction by itself, which sets its tenant. OFFSET 0 keeps the planner from pulling the setting up.
INSERT INTO call_journal (tenant_id, call_log_id, records, holds)
SELECT :tenant_id::uuid, e.call_log_id, e.records, e.holds
FROM (SELECT set_config('app.tenant_id', :tenant_id::uuid::text, true) AS tenant OFFSET 0) AS setting,
    jsonb_to_recordset(:calls::jsonb) AS e (call_log_id uuid, records jsonb, holds uuid[])
WHERE setting.tenant IS NOT NULL
RETURNING true

-- name: records
-- The records of these, as they are to be written down.
SELECT j.call_log_id AS noted_as, r.*
FROM call_journal j, jsonb_populate_recordset(NULL::model_call_logs, j.records) AS r
WHERE j.call_log_id = ANY (:ids::uuid[])

-- name: holds
-- What they were lent.
SELECT j.call_log_id AS noted_as, h.id, h.window_kinds, h.window_starts, h.subjects, h.kinds, h.amounts
FROM call_journal j JOIN quota_holds h ON h.id = ANY (j.holds)
WHERE j.call_log_id = ANY (:ids::uuid[])

-- name: left
-- What dead processes noted: longer ago than that, or with something that nobody keeps any more.
SELECT j.call_log_id FROM call_journal j
WHERE j.created_at < statement_timestamp() - make_interval(secs => :seconds::float8) OR EXISTS (
    SELECT FROM quota_holds h WHERE h.id = ANY (j.holds) AND h.expires_at < statement_timestamp()
)

-- name: remove
-- What cannot be counted: what was noted of it.
DELETE FROM call_journal WHERE call_log_id = :call_log_id::uuid RETURNING records
