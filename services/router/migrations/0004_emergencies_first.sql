-- Emergencies that nobody handled stand above everything else in their queue, however late that is.

alter table cases add column rank smallint not null default 1;  -- 0: such an emergency
update cases set rank = 0 where open and stage = 'registered' and doc ->> 'urgency' = 'U1';
drop index cases_queue;
create index cases_queue on cases (holder, rank, next_deadline, case_id) where open;
