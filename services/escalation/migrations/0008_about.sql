-- What a notice is about beside its promise: an order, a whistle, a task. An older version posts
-- none and reads past it: `reason` stays one of those that it knows.
alter table notices add column about text;
