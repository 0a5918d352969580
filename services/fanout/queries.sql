-- name: open
INSERT INTO requests AS known (request_id, "right", regulation, received_at, due_at, personal)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
ON CONFLICT (request_id) DO UPDATE
SET "right" = excluded."right", regulation = excluded.regulation, received_at = excluded.received_at,
    due_at = excluded.due_at, personal = excluded.personal
WHERE known.personal IS NULL

-- name: find
INSERT INTO findings (request_id, systems, personal)
SELECT request_id, string_to_array(systems, ','), personal
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS found (request_id, systems, personal)
ON CONFLICT DO NOTHING

-- name: remember
INSERT INTO requests (request_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT (request_id) DO NOTHING

-- name: lock
SELECT request_id, "right", regulation, received_at, due_at, personal, plan, plan_version
FROM requests
WHERE request_id = ANY($1::uuid[])
ORDER BY request_id
FOR UPDATE

-- name: findings
SELECT request_id, systems, personal FROM findings WHERE request_id = ANY($1::uuid[])

-- name: save_plans
UPDATE requests
SET plan = changed.plan::jsonb, plan_version = changed.version
FROM unnest($1::uuid[], $2::text[], $3::integer[]) AS changed (request_id, plan, version)
WHERE requests.request_id = changed.request_id

-- name: insert_tasks
INSERT INTO tasks (task_id, request_id, system, attempt, due_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[], $5::timestamptz[])
