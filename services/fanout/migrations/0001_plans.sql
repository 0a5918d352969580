-- One row a request. It may stand there before the request does: an early fact takes its lock, too.
CREATE TABLE requests (
    request_id   uuid        PRIMARY KEY,
    "right"      text,
    regulation   text,
    received_at  timestamptz,
    due_at       timestamptz,
    personal     text,                               -- sealed under the key of the services
    plan         jsonb,
    plan_version integer     NOT NULL DEFAULT 0,
    CONSTRAINT opened_whole CHECK (num_nulls("right", regulation, received_at, due_at, personal) IN (0, 5)),
    CONSTRAINT plan_of_opened CHECK (plan IS NULL OR personal IS NOT NULL),
    CONSTRAINT plan_has_version CHECK ((plan IS NULL) = (plan_version = 0))
);

-- What collectors found. Cumulative, so any number of rows in any order say as much as the fullest.
CREATE TABLE findings (
    request_id uuid   NOT NULL,
    systems    text[] NOT NULL CHECK (cardinality(systems) > 0),
    personal   text   NOT NULL,                      -- identifiers, sealed
    PRIMARY KEY (request_id, systems)
);

CREATE TABLE tasks (
    task_id    uuid        PRIMARY KEY,
    request_id uuid        NOT NULL REFERENCES requests,
    system     text        NOT NULL,
    attempt    integer     NOT NULL CHECK (attempt >= 1),
    due_at     timestamptz NOT NULL,
    UNIQUE (request_id, system, attempt)
);
