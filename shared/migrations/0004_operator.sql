-- What people did to this database from a shell: who, when, to what and why. Rows are only added.

create table operator_acts (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    actor  text not null,
    act    text not null,
    about  text not null,
    reason text not null
);

create function only_added() returns trigger language plpgsql as
$$ begin raise exception 'rows of % are only added', tg_table_name; end $$;

create trigger operator_acts_only_added before update or delete or truncate on operator_acts
    for each statement execute function only_added();
