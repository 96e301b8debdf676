-- A notice ends with its cases too: then `acknowledged_at` says when, and no role with it. So every
-- index of what waits leaves it out, and an older version lets it rest.

-- The notices of a case that closes.
create index notices_cases on notices using gin (cases) where acknowledged_at is null;

-- What is over is forgotten, oldest first.
create index notices_over on notices (acknowledged_at) where acknowledged_at is not null;
