-- What is in triage is kept until somebody decides: the clear body and, sealed under the key of the services, what the
-- person said. Who leaves triage leaves no copy behind.
ALTER TABLE requests
    DROP CONSTRAINT requests_decision_check,
    DROP CONSTRAINT requests_check,
    ADD COLUMN version      integer     NOT NULL DEFAULT 1 CHECK (version >= 1),   -- of what was told
    ADD COLUMN withdrawn_at timestamptz,
    ADD COLUMN submission   jsonb,
    ADD COLUMN personal     text,
    ADD CONSTRAINT decision_known CHECK (decision IN ('accepted', 'refused', 'triage', 'withdrawn')),
    ADD CONSTRAINT reason_if_not_accepted CHECK ((reason IS NULL) = (decision IN ('accepted', 'withdrawn'))),
    ADD CONSTRAINT withdrawn_at_a_time CHECK (withdrawn_at IS NOT NULL OR decision <> 'withdrawn'),
    ADD CONSTRAINT withdrawn_if_not_ended CHECK (withdrawn_at IS NULL OR decision IN ('accepted', 'withdrawn')),
    -- Not checked for the rows that are there: triage kept no copies before.
    ADD CONSTRAINT kept_in_triage
        CHECK (num_nonnulls(submission, personal) = CASE decision WHEN 'triage' THEN 2 ELSE 0 END) NOT VALID;

-- What portals say about a request beside submitting it, by the ce_id: said again it is nothing. A message that is ahead
-- of its submission waits here with its content; once it has taken effect only its id remains.
CREATE TABLE messages (
    portal     text        NOT NULL,
    ce_id      uuid        NOT NULL,
    request_id uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('amendment', 'withdrawal')),
    place      bigint      NOT NULL,                           -- the offset: the order in which the portal spoke
    heard_at   timestamptz NOT NULL,
    early      boolean     NOT NULL,
    answers    uuid,                                           -- the question that an amendment answers
    reason     text,                                           -- of a withdrawal
    personal   text,                                           -- sealed under the key of the services
    PRIMARY KEY (portal, ce_id),
    CONSTRAINT answers_of_amendment CHECK (answers IS NULL OR kind = 'amendment'),
    CONSTRAINT reason_of_withdrawal CHECK (reason IS NULL OR kind = 'withdrawal'),
    CONSTRAINT content_while_early CHECK ((personal IS NOT NULL) = (early AND kind = 'amendment'))
);
CREATE INDEX messages_early ON messages (request_id) WHERE early;
CREATE INDEX messages_early_since ON messages (heard_at) WHERE early;

-- What became of each command, to say the same again.
CREATE TABLE decisions (
    command_id uuid        PRIMARY KEY,
    request_id uuid        NOT NULL,
    digest     bytea       NOT NULL CHECK (length(digest) = 32),   -- of the command, which holds nobody's data
    accepted   boolean     NOT NULL,
    reason     text        CHECK (accepted = (reason IS NULL)),
    decided_at timestamptz NOT NULL
);
