create table if not exists customers (
    id text primary key, name text not null, email text not null,
    brand text not null, last4 text not null, expires text not null
) strict;
create table if not exists charges (
    id text primary key, customer text not null, at text not null, cents integer not null, invoice text not null
) strict;
create index if not exists charges_customer on charges (customer);
create table if not exists fraud_signals (
    id text primary key, customer text not null, at text not null, observation text not null,
    claim_open integer not null
) strict;
create index if not exists fraud_signals_customer on fraud_signals (customer);
-- What the merchant has us not do with a customer's records, and for which of its cases; '*' is every purpose.
create table if not exists limits (
    customer text not null, request text not null, category text not null, purpose text not null,
    kind text not null check (kind in ('restricted', 'objected', 'withdrawn')),
    primary key (customer, request, category, purpose, kind)
) strict, without rowid;
-- What the merchant's own deletion is to leave alone, up to and with the day `until`.
create table if not exists holds (
    customer text not null, request text not null, category text not null, until text not null,
    primary key (customer, request, category)
) strict, without rowid;
-- What the merchant has told us of its own copy (GDPR Art. 19).
create table if not exists notices (
    notice text primary key, customer text not null, what text not null, category text not null, at text not null
) strict;
create table if not exists idempotency (
    key text primary key, request text not null, status integer not null, body text not null
) strict;
create table if not exists seeded (at text not null) strict;
