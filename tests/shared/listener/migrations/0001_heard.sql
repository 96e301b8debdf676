create table heard (
    subject text    not null,
    seq     integer not null check (seq <> 13),
    said    text    not null
);
