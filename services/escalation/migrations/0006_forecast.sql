-- The forecast: when a case breaks a promise next, by what that does. `next_at` does not say it: a
-- warning may come first. As `decisions.breaks` says; `due_at` is the earliest of the three.

alter table armed
    add column promotes_at   timestamptz,
    add column supervises_at timestamptz,
    add column reminds_at    timestamptz;

-- Cases that are armed already, all at once. Places in `clocks`: 5 due, 7 on_breach, 9 paused,
-- 10 answered, 12 fired.
update armed a
set promotes_at = b.promotes_at, supervises_at = b.supervises_at, reminds_at = b.reminds_at
from (
    select case_id,
           min(at) filter (where does = 'promote' and not answered)   as promotes_at,
           min(at) filter (where does = 'supervise' and not answered) as supervises_at,
           min(at) filter (where does = 'remind')                     as reminds_at
    from (
        select case_id, started_at + (clock ->> 5)::bigint * interval '1 ms' as at,
               clock ->> 7 as does, (clock ->> 10)::boolean as answered
        from armed, json_array_elements(clocks) clock
        where open and not (clock ->> 9)::boolean and not (clock ->> 12)::boolean
    ) running group by case_id
) b where b.case_id = a.case_id;

alter table armed
    add column due_at timestamptz generated always as
        (least(promotes_at, supervises_at, reminds_at)) stored;

-- In due order; the holder, whose code is a prefix hierarchy, is compared without reading the row.
create index armed_due on armed (due_at, holder collate "C", case_id) where due_at is not null;
