-- Partitions that this service has stopped reading after a run of undecodable records. A row stands from the pause on;
-- an operator's resumption is noted in it, and the service goes on. So neither a restart nor a rebalance forgets either.
CREATE TABLE paused_partitions (
    topic           text        NOT NULL CHECK (topic LIKE 'dsr.%'),
    partition       integer     NOT NULL CHECK (partition >= 0),
    at_offset       bigint      NOT NULL CHECK (at_offset >= 0),  -- the first record that was not taken
    paused_at       timestamptz NOT NULL,
    resumed_at      timestamptz,
    resumed_through bigint,                                       -- undecodable records before this offset may be buried
    resumed_by      text,
    PRIMARY KEY (topic, partition),
    CHECK ((resumed_at IS NULL) = (resumed_through IS NULL)),
    CHECK ((resumed_at IS NULL) = (resumed_by IS NULL))
);
