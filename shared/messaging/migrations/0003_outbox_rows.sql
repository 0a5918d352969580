-- A row holds all that a transaction said on one topic, up to a size: one row for hundreds of records, where each had one.
ALTER TABLE outbox
    ADD COLUMN count   integer NOT NULL DEFAULT 1 CHECK (count > 0),
    ADD COLUMN records bytea;                  -- see _HEAD in shared/messaging/outbox.py
UPDATE outbox
SET records = uuid_send(id) || uuid_send(key)
           || int4send(length(headers)) || int4send(coalesce(length(value), -1))
           || headers || coalesce(value, '');
ALTER TABLE outbox
    ALTER COLUMN count DROP DEFAULT,
    ALTER COLUMN records SET NOT NULL,
    ALTER COLUMN records SET STORAGE EXTERNAL,  -- half of it is sealed: compressing it is lost labour
    DROP COLUMN key,
    DROP COLUMN value,
    DROP COLUMN headers;
ALTER TABLE outbox SET (
    autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 20000
);
