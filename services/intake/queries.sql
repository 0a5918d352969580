-- name: known
SELECT request_id, portal, fingerprint, kid FROM requests WHERE request_id = ANY($1::uuid[])

-- name: reference_numbers
SELECT array(SELECT nextval('reference_number') FROM generate_series(1, $1))

-- name: insert
INSERT INTO requests (request_id, reference, portal, decision, reason, fingerprint, kid, received_at, opened_at,
                      withdrawn_at, submission, personal, identities)
SELECT *
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[],
            $9::timestamptz[], $10::timestamptz[], $11::jsonb[], $12::text[], $13::integer[])
ON CONFLICT (request_id) DO NOTHING
RETURNING request_id

-- name: lock
SELECT request_id, reference, portal, decision, reason, version, opened_at, withdrawn_at, submission, personal, identities
FROM requests
WHERE request_id = ANY($1::uuid[])
ORDER BY request_id
FOR UPDATE

-- name: save
UPDATE requests
SET decision = changed.decision, reason = changed.reason, version = changed.version,
    withdrawn_at = changed.withdrawn_at, submission = changed.submission, personal = changed.personal,
    identities = changed.identities
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::timestamptz[], $6::jsonb[], $7::text[], $8::integer[])
     AS changed (request_id, decision, reason, version, withdrawn_at, submission, personal, identities)
WHERE requests.request_id = changed.request_id

-- name: heard
SELECT portal, ce_id, request_id
FROM messages
JOIN unnest($1::text[], $2::uuid[]) AS asked (portal, ce_id) USING (portal, ce_id)

-- name: remember
INSERT INTO messages (portal, ce_id, request_id, kind, place, heard_at, early, answers, reason, personal)
SELECT *
FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::timestamptz[], $7::boolean[], $8::uuid[],
            $9::text[], $10::text[])
ON CONFLICT (portal, ce_id) DO NOTHING

-- name: early
SELECT portal, ce_id, request_id, kind, place, heard_at, reason, personal
FROM messages
WHERE early AND request_id = ANY($1::uuid[])
ORDER BY place

-- name: overtaken
SELECT DISTINCT request_id FROM messages JOIN requests USING (request_id) WHERE early

-- name: settle_early
UPDATE messages
SET early = false, personal = NULL
FROM unnest($1::text[], $2::uuid[]) AS settled (portal, ce_id)
WHERE messages.portal = settled.portal AND messages.ce_id = settled.ce_id

-- name: forget_early
DELETE FROM messages WHERE early AND heard_at < $1

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(hashtextextended(command_id::text, 0))
FROM (SELECT command_id FROM unnest($1::uuid[]) AS asked (command_id) ORDER BY command_id) AS ordered

-- name: decisions
SELECT command_id, request_id, digest, accepted, reason, decided_at FROM decisions WHERE command_id = ANY($1::uuid[])

-- name: decide
INSERT INTO decisions (command_id, request_id, digest, accepted, reason, decided_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::boolean[], $5::text[], $6::timestamptz[])
