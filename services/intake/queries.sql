-- name: known
SELECT request_id, portal, fingerprint, kid FROM requests WHERE request_id = ANY($1::uuid[])

-- name: reference_numbers
SELECT nextval('reference_number') FROM generate_series(1, $1)

-- name: insert
INSERT INTO requests (request_id, reference, portal, decision, reason, fingerprint, kid, received_at, opened_at)
SELECT *
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[],
            $9::timestamptz[])
ON CONFLICT (request_id) DO NOTHING
RETURNING request_id
