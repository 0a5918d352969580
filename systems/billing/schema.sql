create table if not exists accounts (
    account_id text primary key,
    name text not null,
    email text not null unique,
    organisation text not null,
    street text not null,
    postal_code text not null,
    city text not null,
    country text not null,
    plan text not null,
    payment_customer_id text not null,
    opened_on date not null,
    contract_until date  -- null while the contract runs
);
create index if not exists accounts_email on accounts (lower(email));

create table if not exists invoices (
    number text primary key,
    account_id text not null,  -- the customer number on the invoice; no foreign key: it outlives the account
    issued_on date not null,
    -- What section 14(4) UStG (VAT Directive Art. 226) wants on an invoice:
    name text not null,
    organisation text not null,
    street text not null,
    postal_code text not null,
    city text not null,
    country text not null,
    description text not null,
    net_cents bigint not null,
    vat_cents bigint not null,
    -- What it does not want:
    email text,
    note text,
    -- After an erasure:
    email_hash text,
    restricted boolean not null default false,
    check (not restricted or (email is null and note is null and email_hash is not null))
);
create index if not exists invoices_account on invoices (account_id);
create index if not exists invoices_email on invoices (lower(email));
create index if not exists invoices_email_hash on invoices (email_hash);

create table if not exists seeded (at timestamptz not null default now());
