-- Events that a committed transaction owes to Kafka. A row lives from the commit until the broker's yes: usually
-- milliseconds. What a dead process left behind is sent by a sweeper, which takes only rows older than the send timeout.
CREATE TABLE outbox (
    id         uuid        PRIMARY KEY,                        -- the ce_id
    topic      text        NOT NULL CHECK (topic LIKE 'dsr.%'),
    key        uuid        NOT NULL,
    value      bytea,                                          -- null: a tombstone
    headers    bytea       NOT NULL,                           -- [[name, value], …] in JSON
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE INDEX outbox_created_at ON outbox (created_at);
