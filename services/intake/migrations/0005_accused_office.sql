-- An office may be the accused, by its id in the policy's registry.
alter table petitions add column accused_office text;
