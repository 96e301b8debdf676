-- One row per case: what it adds to the figures now. The figures themselves are the tally.

create table contributions (
    case_id      uuid    primary key,
    epoch        integer not null,
    seq          bigint  not null,
    contribution text    not null          -- [keys by dimension, measures], as decisions packs it
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000,
        autovacuum_vacuum_cost_delay = 0);

-- A rebuild makes its tables here, under the same names, and then puts them in place.
create schema rebuilt;
