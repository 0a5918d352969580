-- name: insert
INSERT INTO outbox (id, topic, key, value, headers)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
ON CONFLICT (id) DO NOTHING  -- a dead letter has the id of its record: buried again while the first still waits

-- name: delete
DELETE FROM outbox WHERE id = ANY($1::uuid[])

-- name: claim_stale
SELECT id, topic, key, value, headers
FROM outbox
WHERE created_at < clock_timestamp() - $1::interval AND topic <> ALL($3::text[])
ORDER BY created_at
LIMIT $2
FOR UPDATE SKIP LOCKED

-- name: count_stale
SELECT count(*) FROM outbox WHERE created_at < clock_timestamp() - $1::interval
