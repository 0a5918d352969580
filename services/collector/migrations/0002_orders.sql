-- What people decide about a case, and requests that others wait for.
ALTER TABLE cases
    ADD COLUMN opened_version integer NOT NULL DEFAULT 0,  -- intake says more of a request when it was in triage
    ADD COLUMN said     text[]  NOT NULL DEFAULT '{}',     -- what fan-out was told, once each
    ADD COLUMN awaited  boolean NOT NULL DEFAULT false,    -- another request comes after this one
    ADD COLUMN withdrawn_at timestamptz;                   -- when the portal's word of it came
UPDATE cases SET opened_version = 1 WHERE opened IS NOT NULL;
ALTER TABLE cases ADD CONSTRAINT opened_has_version CHECK ((opened IS NULL) = (opened_version = 0));

ALTER TABLE results ADD COLUMN error text;                 -- the code of what stood in a system's way

-- Commands that were accepted. What was decided about each command is said again when it comes again.
CREATE TABLE orders (
    command_id uuid        PRIMARY KEY,
    request_id uuid        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('weigh', 'lift', 'retry', 'release')),
    argument   text,                                       -- the verdict, the system
    ordered_at timestamptz NOT NULL
);
CREATE INDEX orders_request ON orders (request_id);

CREATE TABLE decisions (
    command_id uuid PRIMARY KEY,
    body       jsonb NOT NULL                              -- CommandDecided
);
