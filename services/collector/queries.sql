-- name: open
WITH said AS (
    INSERT INTO openings AS known (request_id, version, body)
    SELECT request_id, version, body::json
    FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS new (request_id, version, body)
    ON CONFLICT (request_id) DO UPDATE SET version = excluded.version, body = excluded.body
    WHERE known.version < excluded.version
    RETURNING request_id
)
INSERT INTO cases (request_id, reference, due_at)
SELECT request_id, reference, due_at
FROM said JOIN unnest($1::uuid[], $4::text[], $5::timestamptz[]) AS new (request_id, reference, due_at) USING (request_id)
ORDER BY request_id
ON CONFLICT (request_id) DO UPDATE SET reference = excluded.reference, due_at = excluded.due_at

-- name: withdraw
INSERT INTO cases AS known (request_id, withdrawn_at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
ON CONFLICT (request_id) DO UPDATE SET withdrawn_at = excluded.withdrawn_at WHERE known.withdrawn_at IS NULL

-- name: await
INSERT INTO cases AS known (request_id, awaited) SELECT unnest($1::uuid[]), true
ON CONFLICT (request_id) DO UPDATE SET awaited = true WHERE NOT known.awaited

-- name: decided
SELECT command_id, body::text AS body FROM decisions WHERE command_id = ANY($1::uuid[])

-- name: decide
INSERT INTO decisions (command_id, body) VALUES ($1, $2::jsonb)

-- name: order
INSERT INTO orders (command_id, request_id, kind, argument, ordered_at) VALUES ($1, $2, $3, $4, $5)

-- name: opened
SELECT request_id FROM openings WHERE request_id = ANY($1::uuid[])

-- name: plan
INSERT INTO plans AS known (request_id, version, systems)
SELECT request_id, version, systems::json
FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS new (request_id, version, systems)
ON CONFLICT (request_id) DO UPDATE SET version = excluded.version, systems = excluded.systems
WHERE known.version < excluded.version

-- name: record_results
WITH recorded AS (
    INSERT INTO results (task_id, request_id, system, ce_id, outcome, summary, error, found, body, received_at)
    SELECT task_id, request_id, system, ce_id, outcome, summary::json, error, found, body, $10
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[])
         AS new (task_id, request_id, system, ce_id, outcome, summary, error, found, body)
    ON CONFLICT (request_id, task_id, system) DO NOTHING
    RETURNING task_id, system, request_id
)
SELECT task_id, system, request_id FROM unnest($1::uuid[], $3::text[], $2::uuid[]) AS given (task_id, system, request_id)
EXCEPT ALL
SELECT task_id, system, request_id FROM recorded

-- name: replace_result
UPDATE results
SET ce_id = $4, outcome = $5, summary = $6::json, error = $7, found = $8, body = $9, received_at = $10,
    personal = NULL, fingerprint = NULL, kid = NULL
WHERE task_id = $1 AND request_id = $2 AND system = $3 AND ce_id = $11
  AND EXISTS (
      SELECT FROM cases
      WHERE cases.request_id = results.request_id
        AND (status ->> 'state' = 'in_review'
             OR status ->> 'state' = 'in_progress' AND outcome IN ('failed', 'needs_input', 'unsupported'))
        AND NOT noticed && $12::text[]
  )
  -- What the person is given was, or is being, put together from the answers as they were.
  AND NOT EXISTS (SELECT FROM assemblies WHERE assemblies.request_id = results.request_id)
  AND NOT EXISTS (SELECT FROM answers WHERE answers.request_id = results.request_id)
RETURNING task_id

-- name: known_results
SELECT task_id, request_id, system, ce_id, sha256(body) AS digest, fingerprint, kid
FROM results
WHERE request_id = ANY($1::uuid[])

-- name: result_body
SELECT body FROM results WHERE task_id = $1 AND system = $2 AND request_id = $3

-- name: plans
SELECT request_id, systems FROM plans WHERE request_id = ANY($1::uuid[])

-- name: record_orphans
INSERT INTO orphans (task_id, system, request_id, dead_letter, since)
SELECT task_id, system, request_id, dead_letter::jsonb, since
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::timestamptz[])
     AS new (task_id, system, request_id, dead_letter, since)
ON CONFLICT (request_id, task_id, system) DO NOTHING

-- name: claim_orphans
SELECT task_id, request_id, system, dead_letter
FROM orphans
WHERE since < $1
ORDER BY since
LIMIT 200
FOR UPDATE SKIP LOCKED

-- name: keep_orphans
DELETE FROM orphans
USING unnest($1::uuid[], $2::text[], $3::uuid[]) AS kept (task_id, system, request_id)
WHERE orphans.request_id = ANY($3::uuid[])
  AND (orphans.task_id, orphans.system, orphans.request_id) = (kept.task_id, kept.system, kept.request_id)

-- name: drop_results
DELETE FROM results
USING unnest($1::uuid[], $2::text[], $3::uuid[]) AS dropped (task_id, system, request_id)
WHERE results.request_id = ANY($3::uuid[])
  AND (results.task_id, results.system, results.request_id) = (dropped.task_id, dropped.system, dropped.request_id)

-- name: record_progress
INSERT INTO progressed (task_id, system, request_id, state)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[])
ON CONFLICT (request_id, task_id, system) DO UPDATE SET state = excluded.state

-- name: record_deliveries
INSERT INTO deliveries (request_id, notice, recipient, ordinal, result, at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::timestamptz[])
ON CONFLICT DO NOTHING

-- name: remember
INSERT INTO cases (request_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT (request_id) DO NOTHING

-- name: lock
SELECT request_id, reference IS NOT NULL AS opened, status, reported, noticed, said, awaited, withdrawn_at
FROM cases
WHERE request_id = ANY($1::uuid[])
ORDER BY request_id
FOR UPDATE

-- name: cases
SELECT request_id, reference IS NOT NULL AS opened, status, reported, noticed, said, awaited, withdrawn_at
FROM cases
WHERE request_id = ANY($1::uuid[])
ORDER BY request_id

-- name: facts
SELECT
    'opened' AS fact,
    request_id,
    NULL::uuid AS id,
    body::text AS word,
    (SELECT systems::text FROM plans WHERE plans.request_id = openings.request_id) AS other,
    NULL AS summary,
    NULL AS error,
    NULL AS found,
    NULL::timestamptz AS at
FROM openings
WHERE request_id = ANY($1::uuid[])
UNION ALL
SELECT 'result', request_id, task_id, system, outcome, summary::text, error, found, NULL
FROM results
WHERE request_id = ANY($1::uuid[])
UNION ALL
SELECT 'order', request_id, command_id, kind, argument, NULL, NULL, NULL, ordered_at
FROM orders
WHERE request_id = ANY($1::uuid[])
UNION ALL
SELECT 'working', request_id, task_id, system, NULL, NULL, NULL, NULL, NULL
FROM progressed
WHERE request_id = ANY($1::uuid[])
UNION ALL
SELECT 'delivery', request_id, NULL, notice, result, NULL, NULL, NULL, at
FROM deliveries
WHERE request_id = ANY($1::uuid[]) AND recipient = 'requester'
UNION ALL
SELECT 'answer', request_id, NULL, object, NULL, NULL, NULL, NULL, expires_at
FROM answers
WHERE request_id = ANY($1::uuid[])

-- name: save
UPDATE cases
SET version = changed.version,
    status = changed.status::json,
    closed_at = changed.closed_at,
    reported = string_to_array(coalesce(changed.reported, ''), ','),
    noticed = string_to_array(coalesce(changed.noticed, ''), ','),
    said = string_to_array(coalesce(changed.said, ''), ',')
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[])
     AS changed (request_id, version, status, closed_at, reported, noticed, said)
WHERE cases.request_id = changed.request_id

-- name: queue_assemblies
INSERT INTO assemblies (request_id, due_at) SELECT unnest($1::uuid[]), $2 ON CONFLICT DO NOTHING

-- name: claim_assemblies
SELECT request_id FROM assemblies WHERE due_at <= $2 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: postpone_assemblies
UPDATE assemblies SET due_at = $2 WHERE request_id = ANY($1::uuid[])

-- name: records
SELECT request_id, task_id, system, body, personal, received_at
FROM results
WHERE request_id = ANY($1::uuid[])
ORDER BY request_id, system, task_id

-- name: record_answers
WITH finished AS (DELETE FROM assemblies WHERE request_id = ANY($4::uuid[]))
INSERT INTO answers (request_id, object, expires_at)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[])
ON CONFLICT (request_id) DO NOTHING

-- name: newer_statuses
SELECT request_id, status
FROM cases JOIN unnest($1::uuid[], $2::integer[]) AS sent (request_id, version) USING (request_id)
WHERE cases.version > sent.version
