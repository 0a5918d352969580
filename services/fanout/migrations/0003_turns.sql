-- Whose requests are being opened, by keyed hash: a row is put here and taken away in one transaction, and whoever puts
-- the same one waits for that transaction to end. No number of people exhausts it, as advisory locks would be.
CREATE TABLE turns (hash bytea PRIMARY KEY);
