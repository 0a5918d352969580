-- The closed ones, latest first: for people who look back.
CREATE INDEX cases_closed_since ON cases ((status ->> 'since')) WHERE status ->> 'state' = 'closed';
