create table if not exists conversations (
    id text primary key,
    email text,  -- who opened it; null once that person is erased
    subject text not null
) strict;
create index if not exists conversations_email on conversations (email);

create table if not exists messages (
    id integer primary key,
    conversation_id text not null references conversations,
    at text not null,
    author text not null,
    email text,  -- null for the support team's own words
    body text not null
) strict;
create index if not exists messages_conversation on messages (conversation_id);
create index if not exists messages_email on messages (email);

create table if not exists product_notes (
    conversation_id text primary key,
    email text not null,
    note text not null
) strict;
create index if not exists product_notes_email on product_notes (email);

create table if not exists seeded (at text not null) strict;

create table if not exists limits (  -- what people have asked for that the team's own code has to heed
    email text not null,
    category text not null,
    purpose text not null,  -- empty for a hold, which is for none
    kind text not null check (kind in ('restricted', 'objected', 'withdrawn', 'held')),
    request_id text not null,
    since text not null,
    until text check ((until is not null) = (kind = 'held')),  -- the hold's last day
    primary key (email, category, purpose, kind, request_id)
) strict, without rowid;
create index if not exists limits_request on limits (request_id);

create table if not exists recipient_notices (  -- who was told of what (GDPR Art. 19)
    id text primary key,
    recipient text not null,
    action text not null,
    category text not null,
    records text not null,  -- a JSON list of their ids
    written_at text not null,
    handed_over_at text
) strict;
