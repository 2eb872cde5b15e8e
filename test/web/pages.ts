/** Every page that is photographed and checked for accessibility: one list for both. A page that is added to the dashboard is added here. */
import type { Page } from "playwright-core";
import type { Seed } from "./harness/seed.ts";

export type ShownPage = {
  /** As a file name. */
  readonly name: string;
  readonly hash: (seed: Seed) => string;
  /** Resolves when it shows what it is about. Default: its heading is there, and nothing is loading. */
  readonly ready?: (page: Page) => Promise<unknown>;
};

export const PAGES: readonly ShownPage[] = [
  { name: "overview", hash: () => "#/overview", ready: (page) => page.locator(".uplot canvas").nth(2).waitFor() },
  { name: "tasks", hash: () => "#/tasks" },
  { name: "tasks-failed", hash: () => "#/tasks?state=failed" },
  { name: "task-succeeded", hash: ({ succeededTask }) => `#/tasks/${succeededTask}` },
  { name: "task-failed", hash: ({ failedTask }) => `#/tasks/${failedTask}` },
  { name: "task-running", hash: ({ runningTask }) => `#/tasks/${runningTask}` },
  { name: "task-unknown", hash: () => "#/tasks/0198f3c0-0000-7000-8000-000000000000" },
  { name: "queues", hash: () => "#/queues" },
  { name: "queue", hash: () => "#/queues/default" },
  { name: "workers", hash: () => "#/workers" },
  { name: "worker", hash: () => "#/workers/worker-1" },
  { name: "schedules", hash: () => "#/schedules" },
  { name: "schedule", hash: ({ schedule }) => `#/schedules/${schedule}` },
  { name: "schedule-new", hash: () => "#/schedules/new" },
  { name: "runs", hash: () => "#/runs" },
  { name: "run-mapped", hash: ({ mappedRun }) => `#/runs/${mappedRun}` },
  { name: "run-wide", hash: ({ wideRun }) => `#/runs/${wideRun}` },
  { name: "run-failed", hash: ({ failedRun }) => `#/runs/${failedRun}` },
  { name: "run-step", hash: ({ mappedRun }) => `#/runs/${mappedRun}?step=parse` },
  {
    name: "run-again",
    hash: ({ failedRun }) => `#/runs/${failedRun}?again=from_failure`,
    ready: (page) => page.locator('[data-step="middle"][data-state="failed"]').waitFor(),
  },
  { name: "run-timeline", hash: ({ wideRun }) => `#/runs/${wideRun}?tab=timeline` },
  { name: "run-steps", hash: ({ wideRun }) => `#/runs/${wideRun}?tab=steps` },
  { name: "run-details", hash: ({ failedRun }) => `#/runs/${failedRun}?tab=details` },
  { name: "run-running", hash: ({ runningRun }) => `#/runs/${runningRun}` },
  { name: "start", hash: () => "#/start" },
  { name: "start-job", hash: () => "#/start/job/etl", ready: formShown },
  { name: "start-task", hash: () => "#/start/task/sleep", ready: formShown },
  { name: "not-found", hash: () => "#/nowhere" },
  {
    name: "dialog-cancel",
    hash: ({ runningTask }) => `#/tasks/${runningTask}`,
    ready: (page) => asked(page, "Cancel"),
  },
  { name: "dialog-retry", hash: ({ failedTask }) => `#/tasks/${failedTask}`, ready: (page) => asked(page, "Retry") },
  { name: "dialog-cancel-all", hash: () => "#/tasks?state=queued", ready: (page) => asked(page, "Cancel all…") },
  { name: "dialog-pause", hash: () => "#/queues/default", ready: (page) => asked(page, "Pause") },
  {
    name: "dialog-keys",
    hash: () => "#/tasks",
    ready: async (page) => {
      await page.keyboard.press("?");
      await page.getByRole("dialog", { name: "Keys" }).waitFor();
    },
  },
];

/** What such a page says that is no problem: it was asked for something that is not there. */
export const MISSING = /status of 404/;

export async function untilShown(page: Page, { ready }: ShownPage): Promise<void> {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => document.querySelector("[aria-busy=true]") === null);
  await ready?.(page);
}

async function asked(page: Page, button: string): Promise<void> {
  await page.getByRole("button", { name: button, exact: true }).first().click();
  await page.getByRole("dialog").waitFor();
}

/** The library for forms comes later than the page. */
function formShown(page: Page): Promise<void> {
  return page.locator(".schema-form input").first().waitFor();
}
