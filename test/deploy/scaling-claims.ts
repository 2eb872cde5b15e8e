/** Workers follow the load, and none of its tasks is lost on the way. */
import { read } from "../../deploy/command.ts";
import { followTasks, readTask, submitSleep, type TaskState } from "../../deploy/sleep-tasks.ts";
import { waitFor } from "../../deploy/wait.ts";
import type { Deployment } from "./deployment.ts";
import { expect, expectEqual } from "./steps.ts";

const BURST = 60;
const SLEEP_SECONDS = 4;
const MAX_WORKERS = 3;
const OUT_MS = 60_000;
const DONE_MS = 180_000;
const IN_MS = 180_000;

type Runner = { readonly task: string; readonly container: string; readonly worker: string };

export async function scalingClaims({ engine, steps, cluster, services, url }: Deployment): Promise<void> {
  const workers = async () => (await cluster.tasks(services.worker)).length;

  await steps.step("a burst scales workers from 1 to 3 and back, and loses no task", async () => {
    expectEqual(await workers(), 1, "workers before the burst");
    const startedMs = performance.now();
    const since = () => `${Math.round((performance.now() - startedMs) / 1_000)} s`;
    const ids = await Promise.all(Array.from({ length: BURST }, () => submitSleep(url, SLEEP_SECONDS)));
    await waitFor(`${MAX_WORKERS} workers`, OUT_MS, async () => ((await workers()) === MAX_WORKERS ? true : undefined));
    const out = since();
    const ended = await followTasks(url, ids, DONE_MS);
    const done = since();
    const notDone = ended.filter(({ state }) => state !== "succeeded");
    expectEqual(notDone, [], "tasks that did not succeed");
    const busy = new Set(ended.map(({ worker }) => worker));
    expect(busy.size > 1, `expected more than one worker to have worked, got ${[...busy].join(", ")}`);
    await waitFor("1 worker", IN_MS, async () => ((await workers()) === 1 ? true : undefined));
    return `3 workers after ${out}, ${BURST} tasks done after ${done} by ${busy.size} workers, 1 worker after ${since()}`;
  });

  await steps.step("the work of a worker task that is stopped is done all the same", async () => {
    const id = await submitSleep(url, 25);
    const busy = await runnerOf(id);
    const stoppedMs = performance.now();
    await cluster.stop(busy.task, "test of a busy worker");
    const seconds = Math.round((performance.now() - stoppedMs) / 1_000);
    const { worker } = await succeeds(id);
    await replaced(busy);
    const how = worker === busy.worker ? "finished by it" : `done again by ${worker}`;
    return `stopped after ${seconds} s, its task ${how}`;
  });

  await steps.step("the work of a worker that is killed is done again by another", async () => {
    const id = await submitSleep(url, 10);
    const busy = await runnerOf(id);
    const killedMs = performance.now();
    await read(engine.program, ["kill", busy.container]);
    const { worker } = await succeeds(id);
    const seconds = Math.round((performance.now() - killedMs) / 1_000);
    expect(worker !== busy.worker, `expected another worker than ${busy.worker}`);
    await replaced(busy);
    return `done ${seconds} s after the kill by ${worker}`;
  });

  /** Who runs the task, once somebody does. */
  function runnerOf(id: string): Promise<Runner> {
    return waitFor(`task ${id} to run`, 60_000, async () => {
      const { state, worker } = await readTask(url, id);
      if (state !== "running" || worker === null) return undefined;
      for (const { taskArn, containers = [] } of await cluster.tasks(services.worker)) {
        // A worker names itself after its container.
        const container = containers.find(({ runtimeId = "-" }) => worker.startsWith(`${runtimeId}-`))?.runtimeId;
        if (taskArn !== undefined && container !== undefined) return { task: taskArn, container, worker };
      }
      return undefined;
    });
  }

  async function succeeds(id: string): Promise<TaskState> {
    const [task] = await followTasks(url, [id], 180_000);
    expect(task?.state === "succeeded", `expected task ${id} to succeed, got ${JSON.stringify(task)}`);
    return task;
  }

  function replaced({ task }: Runner): Promise<boolean> {
    return waitFor("a replacement", 60_000, async () => {
      const tasks = await cluster.tasks(services.worker);
      return tasks.length === 1 && tasks[0]?.taskArn !== task ? true : undefined;
    });
  }
}
