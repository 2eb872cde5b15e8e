/** The overview: live figures, and what it costs to load. */
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { createTasks } from "../../support/tasks.ts";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();

const KB = 1_000;
/** Of everything that the first page loads; and of any page. */
const FIRST_LOAD = 180 * KB;
const ANY_LOAD = 300 * KB;

const figure = (page: Page, label: string) => page.locator(".stat", { hasText: label }).locator(".stat-value");

test("an untouched deployment is told how to begin", async () => {
  const page = await web.open("#/overview");
  await page.getByText("Nothing has happened here lately").waitFor();
  await page.getByText("npx taskiq-aws task run sleep").waitFor();
});

test("figures, charts and failures follow what happens, without a reload", async () => {
  const page = await web.open("#/overview");
  await page.locator(".uplot canvas").nth(2).waitFor();
  await web.client.enqueueBatch(Array.from({ length: 5 }, () => ({ task: "web.note", input: { text: "hi" } })));
  await web.client.enqueue("web.flaky", { reason: "out of paper" });
  await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
  await page.getByRole("img", { name: "5 tasks succeeded and 1 failed in 15 minutes" }).waitFor();
  await page.getByRole("table", { name: "Failures" }).getByText("out of paper").waitFor();
  await expect.poll(() => figure(page, "Waiting").textContent()).toBe("1");
  await expect.poll(() => figure(page, "Workers").textContent()).toBe("2");
  expect(await figure(page, "Success").textContent()).toBe("83 %");
  await page.getByRole("table", { name: "Failures" }).getByRole("link", { name: "web.flaky" }).click();
  await expect.poll(() => new URL(page.url()).hash).toBe("#/tasks?state=failed&task=web.flaky&since=1h");
});

test("a page that is hidden is told nothing, and goes on when it is shown", async () => {
  const page = await web.open("#/overview");
  await page.getByText("Live", { exact: true }).waitFor();
  const hide = (hidden: boolean) =>
    page.evaluate((value) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => value });
      Object.defineProperty(document, "visibilityState", {
        configurable: true,
        get: () => (value ? "hidden" : "visible"),
      });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await hide(true);
  const before = await figure(page, "Waiting").textContent();
  await createTasks(web.database, [{ state: "queued", dueInMs: 3_600_000, announcedMsAgo: 0 }]);
  const streams: string[] = [];
  page.on("request", (request) => streams.push(new URL(request.url()).pathname));
  await hide(false);
  await expect.poll(() => figure(page, "Waiting").textContent()).toBe(String(Number(before) + 1));
  expect(streams).toContain("/v1/live");
});

test.each([
  ["#/overview", FIRST_LOAD, ".uplot canvas"],
  ["#/tasks", FIRST_LOAD, "h1"],
  ["#/start/job/etl", ANY_LOAD, "form"],
])("%s loads at most %d bytes over the network", async (hash, most, shown) => {
  const page = await web.open(hash);
  await page.locator(shown).first().waitFor();
  await page.waitForLoadState("load");
  const bytes = await page.evaluate(() => {
    const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    // What was sent, with its headers; streams and answers of the API are not part of the page.
    return entries
      .filter((entry) => entry instanceof PerformanceResourceTiming && !entry.name.includes("/v1/"))
      .reduce((sum, entry) => sum + (entry instanceof PerformanceResourceTiming ? entry.transferSize : 0), 0);
  });
  expect(bytes).toBeGreaterThan(20_000);
  expect(bytes).toBeLessThanOrEqual(most);
  console.log(`${hash}: ${(bytes / KB).toFixed(1)} kB`);
});
