-- The case file. Facts come in any order, each under its natural key; `cases` is what was decided from them.
CREATE TABLE cases (
    request_id   uuid        PRIMARY KEY,
    opened       jsonb,                                -- RequestOpened in clear, its personal part sealed
    version      integer     NOT NULL DEFAULT 0,       -- of the last published status
    status       jsonb,                                -- that status
    reported     text[]      NOT NULL DEFAULT '{}',    -- finished systems that fan-out was told of
    noticed      text[]      NOT NULL DEFAULT '{}',    -- notices that were asked for
    CONSTRAINT status_has_version CHECK ((status IS NULL) = (version = 0)),
    CONSTRAINT status_of_opened CHECK (status IS NULL OR opened IS NOT NULL)
);
CREATE INDEX cases_reference ON cases ((status ->> 'reference'));
CREATE INDEX cases_open_due ON cases ((status -> 'due' ->> 'at')) WHERE status ->> 'state' <> 'closed';

CREATE TABLE plans (
    request_id   uuid        PRIMARY KEY,
    version      integer     NOT NULL CHECK (version >= 1),
    systems      jsonb       NOT NULL
);

-- Whose a task is, only the plan knows, and it may come later. So a stranger's word about a task, or a word under another
-- request, stands beside the answer of the system that was asked, and can never take its place.
CREATE TABLE results (
    task_id      uuid        NOT NULL,
    request_id   uuid        NOT NULL,
    system       text        NOT NULL,
    ce_id        uuid        NOT NULL,
    outcome      text        NOT NULL,
    summary      jsonb       NOT NULL,
    personal     text        NOT NULL,                 -- sealed by the system, under its own key
    found        text,                                 -- identifiers for other systems, sealed for the services
    fingerprint  bytea       NOT NULL CHECK (length(fingerprint) = 32),
    kid          text        NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (task_id, system, request_id)
);
CREATE INDEX results_request ON results (request_id);

-- Results whose task is not known yet. After a day they are dead letters.
CREATE TABLE orphans (
    task_id      uuid        NOT NULL,
    system       text        NOT NULL,
    request_id   uuid        NOT NULL,
    dead_letter  jsonb       NOT NULL,                 -- ready to be sent
    since        timestamptz NOT NULL,
    PRIMARY KEY (task_id, system, request_id),
    FOREIGN KEY (task_id, system, request_id) REFERENCES results ON DELETE CASCADE
);
CREATE INDEX orphans_since ON orphans (since);

CREATE TABLE progressed (
    task_id      uuid        NOT NULL,
    system       text        NOT NULL,
    request_id   uuid        NOT NULL,
    state        text        NOT NULL,
    PRIMARY KEY (task_id, system, request_id)
);
CREATE INDEX progressed_request ON progressed (request_id);

CREATE TABLE deliveries (
    request_id   uuid        NOT NULL,
    notice       text        NOT NULL,
    recipient    text        NOT NULL,
    ordinal      integer     NOT NULL,
    result       text        NOT NULL CHECK (result IN ('accepted', 'bounced')),
    at           timestamptz NOT NULL,
    PRIMARY KEY (request_id, notice, recipient, ordinal)
);

-- Answers to be assembled. A worker locks the row while it works, so a dead worker's row is free at once.
CREATE TABLE assemblies (
    request_id   uuid        PRIMARY KEY REFERENCES cases,
    due_at       timestamptz NOT NULL
);
CREATE INDEX assemblies_due_at ON assemblies (due_at);

CREATE TABLE answers (
    request_id   uuid        PRIMARY KEY REFERENCES cases,
    object       text        NOT NULL,                 -- where it lies and what opens it, sealed
    expires_at   timestamptz NOT NULL
);
