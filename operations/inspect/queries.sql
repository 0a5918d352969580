-- What operators read of the collector's tables; search_path is its schema. `paused` and `resume` are for any service's.

-- name: open_requests
SELECT status::text AS status
FROM cases
WHERE closed_at IS NULL AND status IS NOT NULL
  AND ($1::timestamptz IS NULL OR due_at < $1 OR (status ->> 'overdue')::boolean)
  AND ($2::timestamptz IS NULL OR due_at < $2)
  AND ($3::text IS NULL OR status -> 'due' ->> 'on' < $3)
  AND ($4::text IS NULL OR status ->> 'state' = $4)
  AND ($5::text IS NULL OR status ->> 'right' = $5)
ORDER BY due_at, request_id
LIMIT $6

-- name: count_open
SELECT count(*)
FROM (
    SELECT FROM cases
    WHERE closed_at IS NULL AND status IS NOT NULL
      AND ($1::timestamptz IS NULL OR due_at < $1 OR (status ->> 'overdue')::boolean)
      AND ($2::timestamptz IS NULL OR due_at < $2)
      AND ($3::text IS NULL OR status -> 'due' ->> 'on' < $3)
      AND ($4::text IS NULL OR status ->> 'state' = $4)
      AND ($5::text IS NULL OR status ->> 'right' = $5)
    ORDER BY due_at
    LIMIT $6
) AS counted

-- name: closed_requests
SELECT status::text AS status
FROM cases
WHERE closed_at IS NOT NULL
  AND (NOT $1 OR (status ->> 'overdue')::boolean)
  AND ($2::text IS NULL OR status -> 'due' ->> 'on' < $2)
  AND ($3::text IS NULL OR status ->> 'right' = $3)
ORDER BY closed_at DESC, request_id
LIMIT $4

-- name: count_closed
SELECT count(*)
FROM (
    SELECT FROM cases
    WHERE closed_at IS NOT NULL
      AND (NOT $1 OR (status ->> 'overdue')::boolean)
      AND ($2::text IS NULL OR status -> 'due' ->> 'on' < $2)
      AND ($3::text IS NULL OR status ->> 'right' = $3)
    ORDER BY closed_at DESC
    LIMIT $4
) AS counted

-- name: case_by_id
SELECT request_id, (body::jsonb - 'personal')::text AS opened, status::text AS status
FROM cases JOIN openings USING (request_id)
WHERE request_id = $1

-- name: case_by_reference
SELECT request_id, (body::jsonb - 'personal')::text AS opened, status::text AS status
FROM cases JOIN openings USING (request_id)
WHERE reference = $1

-- name: plan
SELECT systems::text FROM plans WHERE request_id = $1

-- name: results
SELECT task_id, system, outcome, summary::text AS summary, received_at
FROM results
WHERE request_id = $1
ORDER BY received_at, system

-- name: progressed
SELECT task_id, system, state FROM progressed WHERE request_id = $1

-- name: deliveries
SELECT notice, recipient, ordinal, result, at FROM deliveries WHERE request_id = $1 ORDER BY at, notice, recipient, ordinal

-- name: paused
SELECT topic, partition, at_offset, paused_at
FROM paused_partitions
WHERE resumed_at IS NULL
  AND ($1::text IS NULL OR topic = $1)
  AND ($2::int IS NULL OR partition = $2)
ORDER BY topic, partition

-- name: resume
UPDATE paused_partitions
SET resumed_at = $4, resumed_through = $5, resumed_by = $6
WHERE topic = $1 AND partition = $2 AND at_offset = $3 AND resumed_at IS NULL
RETURNING topic
