-- Letters, visits and calls that an officer registered for the person.

create table registrations (
    petition_id uuid primary key,
    subject     text        not null,                -- of the token: who registered it
    roles       text[]      not null,
    division    text        not null,
    office      text,
    came_at     timestamptz,                         -- when it came, as the officer says
    reference   text                                 -- of the letter or the call
);
