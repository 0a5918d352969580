-- Requests that come after others, further rounds, and ends before the end.
ALTER TABLE requests
    ADD COLUMN known     boolean NOT NULL DEFAULT false,   -- intake has spoken of it, whatever it said
    ADD COLUMN collected boolean NOT NULL DEFAULT false,   -- its answers are in, or none will come
    ADD COLUMN finished  text[];                           -- set when it ended early: the systems that had answered
UPDATE requests SET known = personal IS NOT NULL;

-- Who goes first. A row lives until the one waited for is collected.
CREATE TABLE waits (
    request_id uuid        NOT NULL,
    waits_for  uuid        NOT NULL,
    since      timestamptz NOT NULL,
    missing    boolean     NOT NULL DEFAULT false,         -- nobody has heard of it for too long
    PRIMARY KEY (request_id, waits_for),
    CHECK (request_id <> waits_for)
);
CREATE INDEX waits_waits_for ON waits (waits_for);
CREATE INDEX waits_since ON waits (since) WHERE NOT missing;

-- Whose copies are still being collected, by keyed hashes of their identities.
CREATE TABLE people (
    hash        bytea       NOT NULL CHECK (length(hash) = 32),
    request_id  uuid        NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (hash, request_id)
);
CREATE INDEX people_request ON people (request_id);

-- Identities that were proven after the request was accepted.
CREATE TABLE additions (
    request_id   uuid NOT NULL,
    amendment_id uuid NOT NULL,
    personal     text NOT NULL,                            -- sealed
    PRIMARY KEY (request_id, amendment_id)
);

CREATE TABLE orders (
    request_id uuid   NOT NULL,
    order_id   uuid   NOT NULL,
    systems    text[] NOT NULL,
    action     text,                                       -- null: the same again
    categories text[] NOT NULL,                            -- none: all of the scope
    PRIMARY KEY (request_id, order_id)
);

DROP TABLE tasks;                                          -- the plan says which tasks were given
