-- Whom the router shuts out of a case: a dispatcher may name the accused after the petition was sent.

create table shut_out (
    petition_id uuid primary key,
    division    text,                                -- with all that lies in it
    office      text,
    epoch       integer     not null,                -- of the snapshot that says so
    seq         integer     not null
);
