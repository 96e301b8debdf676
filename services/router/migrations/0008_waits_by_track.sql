-- What waits is counted by track too. Null: an older version put the case there, and counts it by
-- queue and tier alone; the census sets it right, and the sums by queue and tier are right meanwhile.
alter table waiting add column track text;
