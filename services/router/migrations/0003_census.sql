-- The census walks over the open cases in the order of their ids.
create index cases_open on cases (case_id) where open;
