/**
 * What a row of taskiq.task must never do, watched by a trigger: it sees every change in the order in which it happened,
 * whoever made it and however many at once.
 */
import { TASK_STATES, TRANSITIONS } from "../../runtime/model/task.ts";
import type { Database } from "../../runtime/postgres/pool.ts";
import { ask } from "../support/tasks.ts";

const CREATE = `
  create table moves (
    seq bigserial primary key, task_id uuid not null, before taskiq.task, after taskiq.task
  );
  create function record_move() returns trigger language plpgsql as $$
    begin
      insert into moves (task_id, before, after) values (coalesce(new.id, old.id), old, new);
      return null;
    end $$;
  create trigger record_move after update or delete on taskiq.task for each row execute function record_move()`;

/** Begins to watch, for as long as the database lives. */
export async function watchTasks(database: Database): Promise<void> {
  await ask(database, CREATE);
}

export async function forgetMoves(database: Database): Promise<void> {
  await ask(database, "delete from moves");
}

/** Moves that are not in TRANSITIONS, outcomes that were replaced, fences that went back: sentences, none when all is well. */
export async function violations(database: Database): Promise<string[]> {
  const legal = TASK_STATES.flatMap((from) => TRANSITIONS[from].map((to) => `${from} ${to}`));
  const rows = await ask<{ problem: string }>(
    database,
    `select format('%s: %s (attempt %s) -> %s (attempt %s): %s', task_id, (before).state, (before).attempt, (after).state, (after).attempt, problem) as problem
       from moves, lateral (
         select case
           when (before).state <> (after).state and format('%s %s', (before).state, (after).state) <> all($1::text[])
             then 'not a legal move'
           when (after).id is null and (before).finished_at is null
             then 'deleted before it was over'
           when (before).finished_at is not null and (before).state = (after).state and before::text is distinct from after::text
             then 'a terminal row was changed'
           when (before).finished_at is not null and (after).state <> 'queued'
             then 'an outcome was replaced'
           when (after).attempt < (before).attempt
             then 'the fence went back'
           when (after).attempt <> (before).attempt and not ((before).state in ('blocked', 'queued') and (after).state = 'running')
             then 'the fence moved without a claim'
           when (before).state in ('blocked', 'queued') and (after).state = 'running' and (after).attempt <> (before).attempt + 1
             then 'a claim that is not the next attempt'
           when (before).state = 'running' and (after).state = 'running' and (before).worker <> (after).worker
             then 'a running attempt changed its worker'
           when (before).cancel_requested_at is not null and (after).state = 'queued' and (before).finished_at is null
             then 'a row with a cancel flag went back to queued'
           when ((after).failures < (before).failures or (after).losses < (before).losses) and (before).finished_at is null
             then 'a counter went back'
           when (after).failures + (after).losses > (before).failures + (before).losses + 1
             then 'charged more than once'
         end as problem
       ) judged
      where problem is not null
      order by seq`,
    [legal],
  );
  return rows.map((row) => row.problem);
}

/** Every move that happened, as `from -> to`, sorted; a deleted row has moved to `gone`. */
export async function movesSeen(database: Database): Promise<string[]> {
  const rows = await ask<{ move: string }>(
    database,
    `select distinct format('%s -> %s', (before).state, coalesce((after).state::text, 'gone')) as move
       from moves where (before).state is distinct from (after).state order by move`,
  );
  return rows.map((row) => row.move);
}
