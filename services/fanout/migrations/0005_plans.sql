-- Many requests have the same plan: it is stored once, under a name made from what it says, and never changed. What was
-- due at an instant of its own stays so.
CREATE TABLE plans (
    plan_id uuid  PRIMARY KEY,
    plan    jsonb NOT NULL
);
ALTER TABLE requests ADD COLUMN plan_id uuid;              -- no foreign key: each would lock the one row that all share
INSERT INTO plans
SELECT DISTINCT md5(plan::text)::uuid, replace(plan::text, '"due_at":', '"due":')::jsonb
FROM requests WHERE plan IS NOT NULL;
UPDATE requests SET plan_id = md5(plan::text)::uuid WHERE plan IS NOT NULL;
ALTER TABLE requests
    DROP CONSTRAINT plan_of_opened,
    DROP CONSTRAINT plan_has_version,
    DROP COLUMN plan,
    ADD CONSTRAINT plan_of_opened CHECK (plan_id IS NULL OR personal IS NOT NULL),
    ADD CONSTRAINT plan_has_version CHECK ((plan_id IS NULL) = (plan_version = 0));
