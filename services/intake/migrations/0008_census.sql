-- The census compares the receipts of open cases between two ids.
create index receipts_open on receipts (petition_id)
    where stage in ('registered', 'assigned', 'signed', 'resolved');
