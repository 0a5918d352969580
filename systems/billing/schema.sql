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

-- What the code may not do with somebody's records, and for whose request; restrictions hold for every purpose.
create table if not exists limits (
    account_id text not null,
    category text not null,
    purpose text not null,
    kind text not null check (kind in ('restricted', 'objected', 'withdrawn')),
    request_id uuid not null,
    since timestamptz not null default now(),
    primary key (account_id, category, purpose, kind, request_id),
    check ((kind = 'restricted') = (purpose = '*'))
);
create index if not exists limits_request on limits (request_id);

-- What the scheduled deletion leaves alone for now.
create table if not exists holds (
    account_id text not null,
    category text not null,
    request_id uuid not null,
    until date not null,  -- the last day, UTC
    primary key (account_id, category, request_id)
);
create index if not exists holds_request on holds (request_id);

-- Who has to be told of what was done, and since when they are (GDPR Art. 19).
create table if not exists notices (
    id bigint generated always as identity primary key,
    notice_id uuid not null default gen_random_uuid(),
    request_id uuid not null,
    account_id text not null,
    category text not null,
    what text not null check (what in ('rectified', 'erased', 'restricted', 'unrestricted')),
    recipient text not null check (recipient in ('payment_processor', 'hosting')),
    payment_customer_id text,  -- the processor's name for the person, until it is told
    made_at timestamptz not null default now(),
    told_at timestamptz,
    unique (request_id, account_id, category, what, recipient),
    check (told_at is null or payment_customer_id is null)
);
create index if not exists notices_outstanding on notices (id) where told_at is null;
