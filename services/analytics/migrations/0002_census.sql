-- The census compares the open cases between two ids. The pattern is that of `store.for_census`.
create index contributions_open on contributions (case_id)
    where contribution ~ '"(waiting|in_hand)":';
