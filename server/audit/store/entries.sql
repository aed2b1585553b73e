-- Each action is looked up behind the one before: as many looks into the index as there are actions, however many entries.
-- name: actions
WITH RECURSIVE found AS (
    (SELECT action FROM audit_logs ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT following.action FROM audit_logs following WHERE following.action > found.action
            ORDER BY following.action LIMIT 1)
    FROM found WHERE found.action IS NOT NULL
)
SELECT action FROM found WHERE action IS NOT NULL
