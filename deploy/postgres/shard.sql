-- One table over several servers, by case id: what a distributed PostgreSQL does by itself.
--
-- Every key begins with the case, so all that is done to a case is done on one server. This is the
-- same cut with what PostgreSQL has of its own (postgres_fdw), to see that each statement of the
-- router asks one server alone. A distributed PostgreSQL is told it by one call a table, as Citus:
--
--     select create_distributed_table('cases', 'case_id');
--     select create_distributed_table('history', 'case_id', colocate_with => 'cases');
--
-- Variables of psql: `host`, `port`, `database`, `user`, `password` of the second server, which has
-- empty tables cases_1 and history_1 of the same form.

create extension if not exists postgres_fdw;
create server second foreign data wrapper postgres_fdw
    options (host :'host', port :'port', dbname :'database', use_remote_estimate 'false');
create user mapping for current_user server second
    options (user :'user', password :'password');

create table cases_sharded (like cases) partition by hash (case_id);
create table cases_0 partition of cases_sharded (primary key (case_id))
    for values with (modulus 2, remainder 0);
create foreign table cases_1 partition of cases_sharded
    for values with (modulus 2, remainder 1) server second;

create table history_sharded (like history) partition by hash (case_id);
create table history_0 partition of history_sharded (primary key (case_id, epoch, seq))
    for values with (modulus 2, remainder 0);
create foreign table history_1 partition of history_sharded
    for values with (modulus 2, remainder 1) server second;

insert into cases_sharded select * from cases;
insert into history_sharded select * from history;
