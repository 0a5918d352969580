-- An answer is kept as it came. Whether another one says the same is found by opening both, which is seldom asked; of
-- those from before a keyed fingerprint tells it, and their sealed part stands by itself.
ALTER TABLE results
    ADD COLUMN body bytea,
    ALTER COLUMN body SET STORAGE EXTERNAL,
    ALTER COLUMN personal DROP NOT NULL,
    ALTER COLUMN fingerprint DROP NOT NULL,
    ALTER COLUMN kid DROP NOT NULL,
    ADD CONSTRAINT kept_once CHECK ((body IS NULL) = (personal IS NOT NULL)),
    ADD CONSTRAINT fingerprint_of_personal CHECK (num_nulls(personal, fingerprint, kid) IN (0, 3));
