-- Store what the next turn of a step needs to know, whichever process takes it.
-- $1 name of the step  $2 number of the turn (fence)  $3 memory json
-- One row: stored. No row: the turn is over, because another process has taken the next one.
update taskiq.turn
   set memory = $3::json
 where name = $1::text
   and number = $2::bigint
returning number
