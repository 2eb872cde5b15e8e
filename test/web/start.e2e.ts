/** Starting jobs and tasks from forms that are made of their schemas. */
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { useDashboard } from "./harness/dashboard.ts";

const web = useDashboard();
/** The browser says so in the console of each answer above 399. */
const REFUSED = /status of 4\d\d/;

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true });
const idOf = (page: Page) => /[0-9a-f-]{36}/.exec(page.url())?.[0] ?? "";

describe("a job", () => {
  test("is started with what the form says, and its run is shown", async () => {
    const page = await web.open("#/start");
    await page.getByRole("link", { name: /^etl/ }).first().click();
    await page.getByText("Sums up the numbers").waitFor();
    const files = page.getByLabel("files");
    expect(await files.inputValue()).toBe("12");
    await files.fill("3");
    await page.getByLabel("Priority").fill("7");
    await page.getByLabel("Labels").fill("team=data\nnote=from the form");
    await button(page, "Start the run").click();
    await page.waitForURL(/#\/runs\//);
    await page.locator('[data-step="report"][data-state="succeeded"]').waitFor();
    const run = await web.client.runs.get(idOf(page), { steps: 0 });
    expect(run).toMatchObject({
      job: "etl",
      input: { files: 3, rows: 1_000 },
      priority: 7,
      labels: { team: "data", note: "from the form" },
    });
  });

  test("runs in the mode that was chosen, with an idempotency key only once", async () => {
    const page = await web.open("#/start/job/nightly");
    for (const _ of [1, 2]) {
      await page.getByLabel("Mode").selectOption("simple");
      await page.getByLabel("Idempotency key").fill("nightly-once");
      await button(page, "Start the run").click();
      await page.waitForURL(/#\/runs\//);
      await page.locator("h1").getByText("nightly").waitFor();
      await page.goBack();
      await page.getByLabel("Mode").waitFor();
    }
    const { runs } = await web.client.runs.page({ job: "nightly" });
    expect(runs.map(({ mode }) => mode)).toEqual(["simple"]);
  });

  test("is not started with what its schema does not allow, and the field says why", async () => {
    const page = await web.open("#/start/job/etl");
    await page.getByLabel("files").fill("20000");
    await button(page, "Start the run").click();
    await page.getByText("20000 is greater than 10000").waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("input.files");
    expect(page.url()).toContain("#/start/job/etl");
  });
});

describe("a task", () => {
  test("is submitted with options, and is shown", async () => {
    const page = await web.open("#/start/task/web.note");
    await page.getByLabel("text").fill("hello");
    await page.getByLabel("Delay").fill("1 h");
    await button(page, "Run the task").click();
    await page.waitForURL(/#\/tasks\//);
    const task = await web.client.get(idOf(page));
    expect(task).toMatchObject({ task: "web.note", state: "queued", input: { text: "hello" } });
    expect(task.dueAt.getTime() - task.createdAt.getTime()).toBeGreaterThan(3_500_000);
  });

  test("shows what the API refuses at the field that it names", async () => {
    const page = await web.open("#/start/task/web.gate", { expected: [REFUSED] });
    await page.route("**/v1/tasks", async (route) => {
      await route.fulfill({
        status: 422,
        contentType: "application/problem+json",
        json: {
          code: "input_invalid",
          title: "Input invalid",
          status: 422,
          detail: "input.path: expected a path that can be read",
          issues: [
            { path: "input.path", message: "expected a path that can be read" },
            { path: "queue", message: "expected one of default, ordered" },
          ],
        },
      });
    });
    await page.getByLabel("path").fill("/somewhere");
    await button(page, "Run the task").click();
    await page.locator(".schema-errors").getByText("expected a path that can be read").waitFor();
    await page.locator(".field-issue").getByText("expected one of default, ordered.").waitFor();
    await page.getByRole("alert").getByText("input_invalid").waitFor();
  });

  test("takes JSON as it stands, with all digits of its numbers", async () => {
    const page = await web.open("#/start/task/web.note");
    await button(page, "JSON").click();
    await page.getByLabel("Input as JSON").fill('{"text": ');
    await button(page, "Run the task").click();
    await page.getByText(/^Expected JSON/).waitFor();
    const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/v1/tasks"));
    await page.getByLabel("Input as JSON").fill('{"text": "12345678901234567890.10"}');
    await button(page, "Run the task").click();
    expect((await sent).postData()).toContain('"12345678901234567890.10"');
    await page.waitForURL(/#\/tasks\//);
  });

  test("needs a delay that can be read", async () => {
    const page = await web.open("#/start/task/web.note");
    await page.getByLabel("text").fill("hello");
    await page.getByLabel("Delay").fill("soon");
    await button(page, "Run the task").click();
    await page.getByText("Expected a time of at most 365 d, such as 90 s, 5 m or 2 h; got soon.").waitFor();
  });
});

test("a name that nothing has is told so", async () => {
  const page = await web.open("#/start/job/nothing");
  await page.getByText("There is no job called nothing").waitFor();
});

test("the list finds by name", async () => {
  const page = await web.open("#/start");
  await page.getByLabel("Name or description").fill("gated");
  await page.getByText("No task has such a name").waitFor();
  await page.getByRole("link", { name: /^web.gated/ }).waitFor();
  expect(page.url()).toContain("name=gated");
});
