-- What intake said of a request stands beside the case, which is written again with every status; and what is read only
-- whole is kept as it was written. Operators search by columns: an index over a status would be written with each.
CREATE TABLE openings (
    request_id   uuid        PRIMARY KEY,
    version      integer     NOT NULL CHECK (version >= 1),
    body         json        NOT NULL                  -- RequestOpened in clear, its personal part sealed
);
INSERT INTO openings SELECT request_id, opened_version, opened::text::json FROM cases WHERE opened IS NOT NULL;

DROP INDEX cases_reference, cases_open_due, cases_closed_since;
ALTER TABLE cases
    DROP CONSTRAINT status_of_opened,
    DROP CONSTRAINT opened_has_version,
    ADD COLUMN reference text,                         -- once it is opened
    ADD COLUMN due_at timestamptz,
    ADD COLUMN closed_at timestamptz,
    ALTER COLUMN status TYPE json USING status::text::json;
UPDATE cases
SET reference = opened ->> 'reference',
    due_at = (opened -> 'due' ->> 'at')::timestamptz,
    closed_at = CASE WHEN status ->> 'state' = 'closed' THEN (status ->> 'since')::timestamptz END;
ALTER TABLE cases
    DROP COLUMN opened,
    DROP COLUMN opened_version,
    ADD CONSTRAINT status_of_opened CHECK (status IS NULL OR reference IS NOT NULL),
    ADD CONSTRAINT closed_by_status CHECK (closed_at IS NULL OR status IS NOT NULL),
    SET (fillfactor = 60);                             -- room for the next status on the same page
CREATE INDEX cases_reference ON cases (reference);
CREATE INDEX cases_open_due ON cases (due_at) WHERE closed_at IS NULL;
CREATE INDEX cases_closed_since ON cases (closed_at) WHERE closed_at IS NOT NULL;

ALTER TABLE plans ALTER COLUMN systems TYPE json USING systems::text::json;

-- Answers are looked for by request: one index for that and for telling them apart.
ALTER TABLE orphans DROP CONSTRAINT orphans_task_id_system_request_id_fkey;
ALTER TABLE results
    DROP CONSTRAINT results_pkey,
    ADD PRIMARY KEY (request_id, task_id, system),
    ALTER COLUMN summary TYPE json USING summary::text::json;
DROP INDEX results_request;
ALTER TABLE orphans
    DROP CONSTRAINT orphans_pkey,
    ADD PRIMARY KEY (request_id, task_id, system),
    ADD FOREIGN KEY (request_id, task_id, system) REFERENCES results ON DELETE CASCADE;
ALTER TABLE progressed DROP CONSTRAINT progressed_pkey, ADD PRIMARY KEY (request_id, task_id, system);
DROP INDEX progressed_request;
