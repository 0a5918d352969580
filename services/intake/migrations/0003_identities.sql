-- How many proven identities the others were told of, so that amendments end somewhere.
ALTER TABLE requests ADD COLUMN identities integer NOT NULL DEFAULT 0 CHECK (identities >= 0);
