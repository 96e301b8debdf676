-- Who of the offices reads the words of a petition, and when a number to call is said no more.

alter table receipts
    add column offices     text[],                   -- division/office that hold it or owe something
    add column handed_over boolean not null default false;
