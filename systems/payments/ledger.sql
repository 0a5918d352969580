create table if not exists customers (
    id text primary key, name text not null, email text not null,
    brand text not null, last4 text not null, expires text not null
) strict;
create table if not exists charges (
    id text primary key, customer text not null, at text not null, cents integer not null, invoice text not null
) strict;
create index if not exists charges_customer on charges (customer);
create table if not exists fraud_signals (
    id text primary key, customer text not null, observation text not null, claim_open integer not null
) strict;
create index if not exists fraud_signals_customer on fraud_signals (customer);
create table if not exists idempotency (
    key text primary key, request text not null, status integer not null, body text not null
) strict;
create table if not exists seeded (at text not null) strict;
