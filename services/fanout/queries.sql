-- name: keep_plans
INSERT INTO plans (plan_id, plan)
SELECT plan_id, plan::jsonb FROM unnest($1::uuid[], $2::text[]) AS made (plan_id, plan)
ON CONFLICT DO NOTHING

-- name: plans
SELECT plan_id, plan FROM plans WHERE plan_id = ANY($1::uuid[])

-- name: open
-- One of which something is known already gets no plan yet: it is made from all that is known.
INSERT INTO requests AS known (
    request_id, "right", regulation, received_at, due_at, personal, known, plan_id, plan_version
)
SELECT request_id, "right", regulation, received_at, due_at, personal, true, plan_id, num_nonnulls(plan_id)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::uuid[])
    AS opened (request_id, "right", regulation, received_at, due_at, personal, plan_id)
ON CONFLICT (request_id) DO UPDATE
SET "right" = excluded."right", regulation = excluded.regulation, received_at = excluded.received_at,
    due_at = excluded.due_at, personal = excluded.personal, known = true
WHERE known.personal IS NULL
RETURNING request_id, plan_id IS NOT NULL AS planned

-- name: hear_of
INSERT INTO requests AS known (request_id, known, collected)
SELECT request_id, true, collected FROM unnest($1::uuid[], $2::boolean[]) AS heard (request_id, collected)
ON CONFLICT (request_id) DO UPDATE SET known = true, collected = known.collected OR excluded.collected

-- name: collect
INSERT INTO requests AS known (request_id, collected) SELECT unnest($1::uuid[]), true
ON CONFLICT (request_id) DO UPDATE SET collected = true

-- name: forget_people
DELETE FROM people WHERE request_id = ANY($1::uuid[])

-- name: find
INSERT INTO findings (request_id, systems, personal)
SELECT request_id, string_to_array(systems, ','), personal
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS found (request_id, systems, personal)
ON CONFLICT DO NOTHING

-- name: add
INSERT INTO additions (request_id, amendment_id, personal)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[])
ON CONFLICT DO NOTHING

-- name: order
INSERT INTO orders (request_id, order_id, systems, action, categories)
SELECT request_id, order_id, string_to_array(systems, ','), action, string_to_array(categories, ',')
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
    AS ordered (request_id, order_id, systems, action, categories)
ON CONFLICT DO NOTHING

-- name: stop
INSERT INTO requests AS known (request_id, finished)
SELECT request_id, string_to_array(finished, ',') FROM unnest($1::uuid[], $2::text[]) AS stopped (request_id, finished)
ON CONFLICT (request_id) DO UPDATE SET finished = coalesce(known.finished, excluded.finished)

-- name: wait
INSERT INTO waits (request_id, waits_for, since)
SELECT request_id, waits_for, $3 FROM unnest($1::uuid[], $2::uuid[]) AS named (request_id, waits_for)
ON CONFLICT DO NOTHING

-- name: take_turns
-- Who finds one waits until its transaction has ended, and with it the row. None is ever left to be in conflict with, so
-- no ON CONFLICT, which costs three times as much.
INSERT INTO turns (hash) SELECT DISTINCT hash FROM unnest($1::bytea[]) AS asked (hash) ORDER BY hash

-- name: end_turns
DELETE FROM turns WHERE hash = ANY($1::bytea[])

-- name: release
DELETE FROM waits
USING unnest($1::uuid[], $2::uuid[]) AS released (request_id, waits_for)
WHERE waits.request_id = released.request_id AND waits.waits_for = released.waits_for

-- name: stir
WITH RECURSIVE waiting AS (
    UPDATE waits SET missing = false WHERE waits_for = ANY($1::uuid[]) RETURNING request_id
), ahead (start, request_id) AS (
    SELECT request_id, waits_for FROM waits
    -- OFFSET 0: looked up one by one, by index, however many wait
    WHERE request_id = ANY($2::uuid[])
      AND EXISTS (SELECT FROM waits AS behind WHERE behind.waits_for = waits.request_id OFFSET 0)
    UNION
    SELECT ahead.start, next.waits_for
    FROM ahead CROSS JOIN LATERAL (
        SELECT waits.waits_for FROM waits WHERE waits.request_id = ahead.request_id OFFSET 0
    ) AS next
    WHERE ahead.request_id <> ahead.start
)
SELECT request_id FROM waiting
UNION
SELECT request_id FROM ahead WHERE start IN (SELECT start FROM ahead WHERE request_id = start)

-- name: copies
SELECT hash, request_id, received_at FROM people WHERE hash = ANY($1::bytea[])

-- name: remember_people
INSERT INTO people (hash, request_id, received_at)
SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::timestamptz[])
ON CONFLICT DO NOTHING

-- name: end_waits
DELETE FROM waits
USING requests
WHERE waits.request_id = ANY($1::uuid[]) AND requests.request_id = waits.waits_for AND requests.collected

-- name: miss
UPDATE waits SET missing = true
WHERE (request_id, waits_for) IN (
    SELECT waits.request_id, waits.waits_for
    FROM waits LEFT JOIN requests ON requests.request_id = waits.waits_for AND requests.known
    WHERE NOT waits.missing AND waits.since < $1 AND requests.request_id IS NULL
    ORDER BY waits.since
    LIMIT 200
    FOR UPDATE OF waits SKIP LOCKED
)
RETURNING request_id

-- name: remember
INSERT INTO requests (request_id) SELECT unnest($1::uuid[]) ON CONFLICT (request_id) DO NOTHING

-- name: lock
WITH concerned AS (
    SELECT unnest($1::uuid[]) AS request_id UNION SELECT waits_for FROM waits WHERE request_id = ANY($1::uuid[])
)
SELECT request_id, "right", regulation, received_at, due_at, personal, plan_id, plan_version, finished
FROM requests JOIN concerned USING (request_id)
ORDER BY request_id
FOR UPDATE OF requests

-- name: facts
SELECT
    request_id,
    ARRAY(SELECT ROW (systems, personal) FROM findings WHERE findings.request_id = asked.request_id) AS findings,
    ARRAY(SELECT personal FROM additions WHERE additions.request_id = asked.request_id) AS additions,
    ARRAY(SELECT ROW (order_id, systems, action, categories) FROM orders
          WHERE orders.request_id = asked.request_id ORDER BY order_id) AS orders,
    -- Of those that wait for each other in a circle, the one with the lowest id goes first.
    ARRAY(SELECT missing FROM waits
          WHERE waits.request_id = asked.request_id
            AND NOT (waits.request_id < waits.waits_for AND EXISTS (
                WITH RECURSIVE ahead (request_id) AS (
                    SELECT waits.waits_for
                    UNION
                    SELECT next.waits_for FROM waits AS next JOIN ahead ON next.request_id = ahead.request_id
                    WHERE next.waits_for >= asked.request_id AND ahead.request_id <> asked.request_id
                )
                SELECT FROM ahead WHERE ahead.request_id = asked.request_id
            ))) AS waits
FROM unnest($1::uuid[]) AS asked (request_id)

-- name: save_plans
UPDATE requests
SET plan_id = changed.plan_id, plan_version = changed.version
FROM unnest($1::uuid[], $2::uuid[], $3::integer[]) AS changed (request_id, plan_id, version)
WHERE requests.request_id = changed.request_id
