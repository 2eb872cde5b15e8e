-- The migrations that were applied.
-- One row each, in the order of their numbers: number, name, sha256 (hex, of the text).
select number,
       name,
       sha256
  from taskiq.migration
 order by number
