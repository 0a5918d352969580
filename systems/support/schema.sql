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
