-- The history of a case is read page by page: every hundredth step keeps the case after it whole.

alter table history add column whole json;       -- the case after this step, of some steps alone
create index history_whole on history (case_id, epoch, seq) where whole is not null;
create index history_whole_at on history (case_id, at) where whole is not null;
create index history_asked on history (case_id, epoch, seq) where event = 'extension_asked';

create aggregate pg_temp.after_all (jsonb) (sfunc = jsonb_concat, stype = jsonb, initcond = '{}');
update history h set whole = stood.whole
from (
    select case_id, epoch, seq,
           pg_temp.after_all(changed::jsonb)
               over (partition by case_id order by epoch, seq) as whole
    from history
    where case_id in (select case_id from history where seq >= 100)
) stood
where h.seq % 100 = 0
  and (h.case_id, h.epoch, h.seq) = (stood.case_id, stood.epoch, stood.seq);
