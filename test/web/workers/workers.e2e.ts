/** Workers: who is there, what each runs, and who is lost. */
import { expect, test } from "vitest";
import { ask } from "../../support/tasks.ts";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();

test("the list tells slots and states, and a worker its running tasks", async () => {
  const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 120 });
  const page = await web.open("#/workers");
  const rows = page.getByRole("table", { name: "Workers" }).locator("tbody tr[aria-rowindex]");
  await expect
    .poll(() => rows.allTextContents())
    .toEqual([
      expect.stringMatching(/alive.*worker-1.*of 5.*default, ordered/),
      expect.stringMatching(/alive.*worker-2.*of 5.*default, ordered/),
    ]);
  await expect.poll(async () => (await web.client.get(taskId)).worker).not.toBeNull();
  const { worker } = await web.client.get(taskId);
  await page.getByRole("link", { name: worker ?? "", exact: true }).click();
  await page.getByRole("table", { name: "Running tasks" }).getByRole("link", { name: "sleep" }).click();
  await expect.poll(() => new URL(page.url()).hash).toBe(`#/tasks/${taskId}`);
  await web.client.tasks.cancel(taskId);
});

test("a worker that was killed is shown as lost", async () => {
  const [, second] = web.workers;
  second?.signal("SIGKILL");
  await second?.exited;
  // Rather than for three heartbeats.
  await ask(web.database, "update taskiq.worker set beat_at = now() - interval '10 minutes' where name = 'worker-2'");
  const page = await web.open("#/workers");
  await page.getByRole("row", { name: /lost.*worker-2/ }).waitFor();
  await page.getByRole("row", { name: /alive.*worker-1/ }).waitFor();
  await page.getByRole("link", { name: "worker-2" }).click();
  await page.getByText("Three heartbeats are missing.").waitFor();
});

test("a name that no worker has is told so", async () => {
  const page = await web.open("#/workers/nobody", { expected: [/status of 404/] });
  await page.getByRole("heading", { name: "No worker has this name" }).waitFor();
});
