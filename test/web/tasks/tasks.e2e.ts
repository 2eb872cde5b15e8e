/** Tasks: looking for them, following one, and changing one or many. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { createTasks } from "../../support/tasks.ts";
import { until } from "../../support/until.ts";
import { audited } from "../audited.ts";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();

const rows = (page: Page) => page.getByRole("table", { name: "Tasks" }).locator("tbody tr[aria-rowindex]");
const toast = (page: Page) => page.locator("[data-toast]");

describe("the list", () => {
  test("shows what the filters in its address ask for", async () => {
    await createTasks(web.database, [
      { name: "list.wanted", state: "failed", labels: '{"team":"a"}' },
      { name: "list.wanted", state: "failed", labels: '{"team":"b"}' },
      { name: "list.other", state: "failed", labels: '{"team":"a"}' },
    ]);
    const page = await web.open("#/tasks?state=failed&task=list.wanted&label=team%3Da");
    await expect.poll(() => rows(page).count()).toBe(1);
    expect(await rows(page).first().textContent()).toMatch(/failed.*list\.wanted/);
  });

  test("puts a filter that is typed into the address, where it can be shared, and takes it away again", async () => {
    await createTasks(web.database, [{ name: "typed.one", state: "succeeded" }]);
    const page = await web.open("#/tasks");
    await page.getByLabel("Name of the task").fill("typed.one");
    await page.getByRole("button", { name: "succeeded" }).click();
    await expect.poll(() => rows(page).count()).toBe(1);
    await expect.poll(() => page.url()).toMatch(/task=typed\.one/);
    // Whichever took effect first.
    const given = new URLSearchParams(new URL(page.url()).hash.split("?")[1]);
    expect(Object.fromEntries(given)).toEqual({ task: "typed.one", state: "succeeded" });
    await page.getByRole("button", { name: "Clear the filters" }).click();
    await expect.poll(() => new URL(page.url()).hash).toBe("#/tasks");
    expect(await page.getByLabel("Name of the task").inputValue()).toBe("");
  });

  test("leads to older tasks and back, and keeps only the rows in the page that can be seen", async () => {
    await createTasks(
      web.database,
      Array.from({ length: 130 }, (_, index) => ({
        name: "paged",
        state: "succeeded",
        createdMsAgo: 10_000 + index * 1_000,
      })),
    );
    const page = await web.open("#/tasks?task=paged");
    await rows(page).first().waitFor();
    expect(await page.getByRole("table", { name: "Tasks" }).getAttribute("aria-rowcount")).toBe("101");
    expect(await rows(page).count()).toBeLessThan(60);
    await page.getByRole("link", { name: "Older" }).click();
    await expect.poll(() => page.getByRole("table", { name: "Tasks" }).getAttribute("aria-rowcount")).toBe("31");
    await page.goBack();
    await expect.poll(() => page.getByRole("table", { name: "Tasks" }).getAttribute("aria-rowcount")).toBe("101");
  });

  test("is walked through with j and k, and Enter opens a task", async () => {
    await createTasks(web.database, [
      { name: "keyed", state: "succeeded", createdMsAgo: 1_000 },
      { id: "0198f3c0-0000-7000-8000-0000000000aa", name: "keyed", state: "succeeded", createdMsAgo: 2_000 },
    ]);
    const page = await web.open("#/tasks?task=keyed");
    await expect.poll(() => rows(page).count()).toBe(2);
    for (const key of ["j", "j", "j", "k", "j", "Enter"]) await page.keyboard.press(key);
    await expect.poll(() => new URL(page.url()).hash).toBe("#/tasks/0198f3c0-0000-7000-8000-0000000000aa");
  });

  test("says so when nothing matches, and names a label that is none", async () => {
    const page = await web.open("#/tasks?task=no.such.task&label=team");
    await page.getByRole("heading", { name: "No task matches the filter" }).waitFor();
    expect(await page.getByLabel("Labels, name=value").getAttribute("aria-invalid")).toBe("true");
  });
});

describe("one task", () => {
  test("is followed while it runs, to its result, without a reload", async () => {
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 12 }, { labels: { team: "web" } });
    const page = await web.open(`#/tasks/${taskId}`);
    const heading = page.getByRole("heading", { level: 1 });
    await heading.getByText("running").waitFor();
    await page.getByRole("img", { name: /% done/ }).waitFor();
    await heading.getByText("succeeded").waitFor({ timeout: 30_000 });
    await page.getByRole("region", { name: "result" }).getByText('"slept_seconds"').waitFor();
    expect(await page.getByRole("region", { name: "input", exact: true }).textContent()).toContain(
      '"duration_seconds": 12',
    );
    expect(await page.getByRole("link", { name: "team=web" }).getAttribute("href")).toBe("#/tasks?label=team%3Dweb");
    expect(await page.getByRole("link", { name: "Logs" }).getAttribute("href")).toBe(
      `https://logs.example.com/?task=${taskId}`,
    );
  });

  test("that failed shows its attempts and its error, and can be retried", async () => {
    const { taskId } = await web.client.enqueue("web.flaky", { reason: "no route to host" });
    await web.client.wait(taskId);
    const page = await web.open(`#/tasks/${taskId}`);
    await page.getByRole("heading", { name: "Error" }).waitFor();
    expect(await page.locator(".timeline-row").allTextContents()).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/attempt 1retried.*no route to host/),
        expect.stringMatching(/attempt 2failed/),
      ]),
    );
    await page.getByRole("button", { name: "Retry", exact: true }).click();
    const question = page.getByRole("dialog", { name: "Run web.flaky again?" });
    await question.getByRole("button", { name: "Retry the task" }).click();
    await toast(page).getByText("The task is queued").waitFor();
    expect(await audited(web, "task.retry")).toContain(taskId);
    await until(async () => (await web.client.get(taskId)).attempt === 4, { what: "two more attempts" });
  });

  test("that runs is cancelled with a reason after a question, and its worker stops it", async () => {
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 120 });
    const page = await web.open(`#/tasks/${taskId}`);
    await page.getByRole("heading", { level: 1 }).getByText("running").waitFor();
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    const question = page.getByRole("dialog", { name: "Cancel sleep?" });
    await question.getByLabel("Reason").fill("not needed");
    await question.getByRole("button", { name: "Cancel the task" }).click();
    await toast(page).getByText("The task is being stopped").waitFor();
    await page.getByRole("heading", { level: 1 }).getByText("cancelled").waitFor();
    await page.getByText("not needed").waitFor();
    expect(await audited(web, "task.cancel")).toContain(taskId);
    // There is nothing to cancel any more, and the button says why.
    const cancel = page.getByRole("button", { name: "Cancel", exact: true });
    expect(await cancel.getAttribute("aria-disabled")).toBe("true");
    expect(await cancel.getAttribute("title")).toBe("The task was cancelled.");
  });

  test("is left alone when the question is answered with Escape", async () => {
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 5 }, { delayMs: 3_600_000 });
    const page = await web.open(`#/tasks/${taskId}`);
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    expect((await web.client.get(taskId)).state).toBe("queued");
  });

  test("whose end comes before the answer shows the refusal of the API in the question", async () => {
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 10 });
    const page = await web.open(`#/tasks/${taskId}`, { expected: [/status of 409/] });
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("dialog").waitFor();
    await web.client.wait(taskId);
    await page.getByRole("button", { name: "Cancel the task" }).click();
    await page.getByRole("alert").getByText("task_finished").waitFor();
  });

  test("that there is none of says what may have become of it", async () => {
    const page = await web.open("#/tasks/0198f3c0-0000-7000-8000-000000000000", { expected: [/status of 404/] });
    await page.getByRole("heading", { name: "No task has this id" }).waitFor();
  });
});

describe("many tasks", () => {
  test("are counted before they are cancelled, and no others are", async () => {
    const entry = { task: "sleep", input: { duration_seconds: 1 }, delayMs: 3_600_000 };
    const { taskIds } = await web.client.enqueueBatch(
      Array.from({ length: 25 }, () => ({ ...entry, labels: { bulk: "cancel" } })),
    );
    const { taskId: other } = await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
    const page = await web.open("#/tasks?label=bulk%3Dcancel");
    await page.getByRole("button", { name: "Cancel all…" }).click();
    const question = page.getByRole("dialog", { name: "Cancel all tasks that match?" });
    await question.getByText("blocked or queued or running tasks with bulk=cancel").waitFor();
    await question.getByRole("button", { name: "Cancel 25 tasks" }).click();
    await toast(page).getByText("25 tasks cancelled").waitFor();
    const states = await Promise.all(taskIds.map(async (id) => (await web.client.get(id)).state));
    expect(new Set(states)).toEqual(new Set(["cancelled"]));
    expect((await web.client.get(other)).state).toBe("queued");
    await expect.poll(() => rows(page).filter({ hasText: "cancelled" }).count()).toBe(25);
  });

  test("that failed are queued again, all that match", async () => {
    await createTasks(
      web.database,
      Array.from({ length: 4 }, () => ({
        name: "sleep",
        state: "failed",
        input: '{"duration_seconds": 1}',
        labels: '{"bulk":"retry"}',
      })),
    );
    const page = await web.open("#/tasks?label=bulk%3Dretry&state=failed");
    await page.getByRole("button", { name: "Retry all…" }).click();
    await page.getByRole("button", { name: "Retry 4 tasks" }).click();
    await toast(page).getByText("4 tasks queued again").waitFor();
    await until(
      async () =>
        (await web.client.tasks.list({ labels: { bulk: "retry" }, states: ["succeeded"] })).tasks.length === 4,
    );
  });

  test("are not offered to an action that the chosen states rule out", async () => {
    const page = await web.open("#/tasks?state=succeeded");
    const cancel = page.getByRole("button", { name: "Cancel all…" });
    expect(await cancel.getAttribute("aria-disabled")).toBe("true");
    await cancel.click({ force: true });
    expect(await page.getByRole("dialog").count()).toBe(0);
  });
});
