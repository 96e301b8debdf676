-- The census compares the open cases between two ids.
create index armed_open on armed (case_id) where open;
