import { expect, test } from "vitest";
import { beat, retire, type WorkerRow } from "../../runtime/worker/registry.ts";
import { ask } from "../support/tasks.ts";
import { useRig } from "./rig.ts";

const rig = useRig();

const WORKER: WorkerRow = {
  name: "worker-1",
  version: "1.2.3",
  queues: ["default", "ordered"],
  slots: 10,
  running: 0,
  draining: false,
  revision: null,
};

const rows = () =>
  ask(
    rig.database,
    `select name, version, queues, slots, running, draining, revision, extract(epoch from now() - started_at) > 30 as old,
            extract(epoch from now() - beat_at) < 30 as alive
       from taskiq.worker order by name`,
  );

test("a first beat makes the worker's row, a further one brings it up to date and keeps its start", async () => {
  await beat(rig.database, WORKER);
  expect(await rows()).toEqual([{ ...WORKER, old: false, alive: true }]);
  await ask(
    rig.database,
    "update taskiq.worker set started_at = now() - interval '1 min', beat_at = now() - interval '1 min'",
  );
  await beat(rig.database, { ...WORKER, running: 7, draining: true });
  expect(await rows()).toEqual([{ ...WORKER, running: 7, draining: true, old: true, alive: true }]);
});

test("a beat says how new the newest worker is that is alive, and a silent or stopped one does not count", async () => {
  expect(await beat(rig.database, WORKER)).toBeNull();
  expect(await beat(rig.database, { ...WORKER, name: "old", revision: 7 })).toBe(7);
  expect(await beat(rig.database, { ...WORKER, name: "new", revision: 9 })).toBe(9);
  expect(await beat(rig.database, { ...WORKER, name: "old", revision: 7 })).toBe(9);
  await ask(rig.database, "update taskiq.worker set beat_at = now() - interval '1 min' where name = 'new'");
  expect(await beat(rig.database, { ...WORKER, name: "old", revision: 7 })).toBe(7);
});

test("a worker that retires is forgotten, and no other", async () => {
  await beat(rig.database, WORKER);
  await beat(rig.database, { ...WORKER, name: "worker-2" });
  await retire(rig.database, "worker-1");
  await retire(rig.database, "worker-1");
  expect((await rows()).map((row) => row.name)).toEqual(["worker-2"]);
});
