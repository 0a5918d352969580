-- name: insert
WITH sent AS (DELETE FROM outbox WHERE id = ANY($1::uuid[]))
INSERT INTO outbox (id, topic, count, records) SELECT * FROM unnest($2::uuid[], $3::text[], $4::int[], $5::bytea[])

-- name: delete
DELETE FROM outbox WHERE id = ANY($1::uuid[])

-- name: claim_stale
SELECT id, topic, records
FROM outbox
WHERE created_at < clock_timestamp() - $1::interval AND topic <> ALL($3::text[])
ORDER BY created_at
LIMIT $2
FOR UPDATE SKIP LOCKED

-- name: count_stale
SELECT coalesce(sum(count), 0) FROM outbox WHERE created_at < clock_timestamp() - $1::interval

-- name: pauses
SELECT topic, partition, at_offset, resumed_through FROM paused_partitions

-- name: pause
INSERT INTO paused_partitions AS known (topic, partition, at_offset, paused_at)
SELECT topic, partition, at_offset, $4 FROM unnest($1::text[], $2::int[], $3::bigint[]) AS new (topic, partition, at_offset)
ON CONFLICT (topic, partition) DO UPDATE
SET at_offset = EXCLUDED.at_offset, paused_at = EXCLUDED.paused_at,
    resumed_at = NULL, resumed_through = NULL, resumed_by = NULL
WHERE known.resumed_through IS NULL OR EXCLUDED.at_offset >= known.resumed_through  -- what an operator let through
