-- Up to which petition, in the order of accepting, all are routed: so the oldest that is not is found
-- at once. An index of the unrouted would cost each receipt a second update.

create table routed_up_to (
    only_row    boolean primary key default true check (only_row),
    petition_id uuid    not null
);
insert into routed_up_to (petition_id)
select coalesce(
    (select petition_id from receipts
     where petition_id < (select petition_id from receipts where routed_at is null
                          order by petition_id limit 1)
     order by petition_id desc limit 1),
    '00000000-0000-0000-0000-000000000000');
