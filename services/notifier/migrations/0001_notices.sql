-- Whom to tell what, and how far that has come. One row is one mail; the natural key makes a redelivered
-- request for it the same mail.
CREATE TABLE notices (
    request_id uuid NOT NULL,
    notice text NOT NULL CHECK (notice ~ '^[a-z][a-z0-9_]{0,63}$'),
    recipient text NOT NULL CHECK (recipient IN ('requester', 'dpo')),
    ordinal integer NOT NULL CHECK (ordinal >= 1),

    event bytea NOT NULL,           -- the body of NoticeRequested as it came: its personal part is sealed
    recorded_at timestamptz NOT NULL,

    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'accepted', 'bounced', 'deferred')),
    attempts integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,    -- by the workflow's clock
    lease uuid,                     -- the claim that is sending it: whoever lost it can no longer finish it
    lease_until timestamptz,        -- by the database's clock, which nobody advances
    holder integer,                 -- the process that has the lease: alive as long as it holds its advisory lock
    accepted_at timestamptz,
    smtp_code smallint CHECK (smtp_code BETWEEN 200 AND 599),

    answer_token_sha256 bytea UNIQUE CHECK (octet_length(answer_token_sha256) = 32),
    answer_token_sealed text,
    answer_expires_at timestamptz,

    PRIMARY KEY (request_id, notice, recipient, ordinal),
    CONSTRAINT leased_while_sending CHECK (
        (state = 'sending') = (lease IS NOT NULL) AND num_nulls(lease, lease_until, holder) IN (0, 3)
    ),
    CONSTRAINT due_until_done CHECK ((state IN ('accepted', 'bounced')) = (next_attempt_at IS NULL)),
    CONSTRAINT accepted_at_a_time CHECK ((state = 'accepted') = (accepted_at IS NOT NULL)),
    CONSTRAINT done_after_an_attempt CHECK (state = 'queued' OR attempts > 0),
    CONSTRAINT token_whole_or_none CHECK (
        (answer_token_sha256 IS NULL) = (answer_token_sealed IS NULL)
        AND (answer_token_sha256 IS NULL) = (answer_expires_at IS NULL)
    )
);

CREATE INDEX notices_due ON notices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;

CREATE INDEX notices_holder ON notices (holder) WHERE holder IS NOT NULL;
