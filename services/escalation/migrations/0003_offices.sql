-- Notices of an office stand in a list of its own, beside that of the division it serves; an office
-- may be the accused.

alter table armed
    add column accused_office text,
    add column owner_offices json;          -- by the name of the clock; beside the arrays, so that
                                            -- a version without offices goes on reading those

alter table notices add column office text;
create index notices_office on notices (division, office, posted_at, id) where office is not null;
create index notices_office_waiting on notices (division, office, posted_at, id)
    where office is not null and acknowledged_at is null;
