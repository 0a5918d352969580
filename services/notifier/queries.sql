-- name: record
INSERT INTO notices (
    request_id, notice, recipient, ordinal, event, recorded_at, next_attempt_at,
    answer_token_sha256, answer_token_sealed, answer_expires_at,
    state, attempts, lease, lease_until, holder
)
SELECT request_id, notice, recipient, ordinal, event, $10, $10, sha256, sealed, expires_at,
    CASE WHEN leased THEN 'sending' ELSE 'queued' END,
    leased::integer,
    CASE WHEN leased THEN $11::uuid END,
    CASE WHEN leased THEN clock_timestamp() + $12::interval END,
    CASE WHEN leased THEN $13::integer END
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::int[], $5::bytea[], $6::bytea[], $7::text[], $8::timestamptz[], $9::boolean[]
) AS new (request_id, notice, recipient, ordinal, event, sha256, sealed, expires_at, leased)
ORDER BY request_id, notice, recipient, ordinal
ON CONFLICT DO NOTHING
RETURNING request_id, notice, recipient, ordinal

-- name: claim
WITH due AS (
    SELECT request_id, notice, recipient, ordinal
    FROM notices
    WHERE next_attempt_at <= $1 AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY next_attempt_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
UPDATE notices
SET state = 'sending', attempts = attempts + 1, lease = $3, lease_until = clock_timestamp() + $4::interval,
    holder = $5
FROM due
WHERE (notices.request_id, notices.notice, notices.recipient, notices.ordinal)
    = (due.request_id, due.notice, due.recipient, due.ordinal)
RETURNING notices.request_id, notices.notice, notices.recipient, notices.ordinal, notices.event,
    notices.recorded_at, notices.attempts, notices.lease, notices.answer_token_sealed

-- name: finish
UPDATE notices
SET state = done.state, smtp_code = done.code, next_attempt_at = done.next_attempt_at,
    accepted_at = CASE done.state WHEN 'accepted' THEN done.at END, lease = NULL, lease_until = NULL,
    holder = NULL
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::int[], $5::uuid[], $6::text[], $7::int[], $8::timestamptz[], $9::timestamptz[]
) AS done (request_id, notice, recipient, ordinal, lease, state, code, at, next_attempt_at)
WHERE (notices.request_id, notices.notice, notices.recipient, notices.ordinal)
    = (done.request_id, done.notice, done.recipient, done.ordinal)
    AND notices.lease = done.lease
RETURNING notices.request_id, notices.notice, notices.recipient, notices.ordinal

-- name: answer
SELECT request_id, event, answer_token_sha256, answer_expires_at
FROM notices
WHERE answer_token_sha256 = $1

-- name: be_present
SELECT pg_advisory_lock($1, $2)

-- name: end_lost_leases
UPDATE notices
SET lease_until = clock_timestamp()
WHERE holder = $1 AND lease <> ALL($2::uuid[])
    AND lease_until BETWEEN clock_timestamp() AND clock_timestamp() + $3::interval

-- name: absent
SELECT DISTINCT holder
FROM notices
WHERE holder IS NOT NULL
    AND lease_until > clock_timestamp()
    AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = $1::integer::oid AND objid = notices.holder::oid
    )

-- name: end_leases_of_the_dead
UPDATE notices
SET lease_until = clock_timestamp()
WHERE holder = ANY($2::integer[])
    AND lease_until > clock_timestamp()
    AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 2 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = $1::integer::oid AND objid = notices.holder::oid
    )
