-- Every request that was ever submitted, under the id its portal gave it. What the person said is not kept here: the
-- accepted request travels on to the others, sealed; this table answers "have I seen this, and was it the same?".
CREATE SEQUENCE reference_number;

CREATE TABLE requests (
    request_id    uuid        PRIMARY KEY,
    reference     text        NOT NULL UNIQUE CHECK (reference ~ '^HB-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}$'),
    portal        text        NOT NULL,
    decision      text        NOT NULL CHECK (decision IN ('accepted', 'refused', 'triage')),
    reason        text        CHECK ((decision = 'accepted') = (reason IS NULL)),
    fingerprint   bytea       NOT NULL CHECK (length(fingerprint) = 32),  -- keyed: useless without the key
    kid           text        NOT NULL,                                   -- the key it was made with
    received_at   timestamptz NOT NULL,
    opened_at     timestamptz NOT NULL
);
