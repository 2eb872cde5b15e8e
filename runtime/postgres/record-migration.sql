-- Remember that a migration was applied, in the transaction that applied it.
-- $1 number  $2 name  $3 sha256 (hex, of the text)
-- No rows. Guard: the primary key; a number is applied once.
insert into taskiq.migration (number, name, sha256)
values ($1, $2, $3)
