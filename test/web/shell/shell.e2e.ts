/** The frame around the pages: keys, colours, a phone, and an API that goes away. */
import { describe, expect, test } from "vitest";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();
const hashOf = (url: string) => new URL(url).hash;

describe("the keyboard", () => {
  test.each([
    ["o", "#/overview"],
    ["t", "#/tasks"],
    ["r", "#/runs"],
    ["q", "#/queues"],
    ["w", "#/workers"],
    ["s", "#/schedules"],
  ])("g %s leads to %s", async (key, hash) => {
    const page = await web.open("#/start");
    await page.locator("h1").waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press(key);
    await expect.poll(() => hashOf(page.url())).toBe(hash);
  });

  test("/ goes to the filter, where letters are letters; ? lists the keys, and Escape closes the list", async () => {
    const page = await web.open("#/tasks");
    await page.locator("h1").waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("gq?");
    expect(await page.getByLabel("Name of the task").inputValue()).toBe("gq?");
    await page.getByLabel("Name of the task").blur();
    await page.keyboard.press("?");
    const keys = page.getByRole("dialog", { name: "Keys" });
    await keys.getByText("to the filter").waitFor();
    await page.keyboard.press("Escape");
    await keys.waitFor({ state: "detached" });
  });

  test("the first Tab offers the way past the navigation", async () => {
    const page = await web.open("#/tasks");
    await page.locator("h1").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
  });
});

test("colours follow the system until somebody chooses, and the choice is remembered", async () => {
  const page = await web.open("#/tasks", { theme: "dark" });
  const shown = () => page.evaluate(() => document.documentElement.dataset.theme);
  await expect.poll(shown).toBe("dark");
  await page.getByRole("button", { name: "Light" }).click();
  await expect.poll(shown).toBe("light");
  await page.reload();
  await page.locator("h1").waitFor();
  expect(await shown()).toBe("light");
  await page.getByRole("button", { name: "As the system" }).click();
  await expect.poll(shown).toBe("dark");
});

test("a phone reaches every page by the bar at its lower edge", async () => {
  const page = await web.open("#/overview", { size: { width: 360, height: 740 } });
  await page.getByRole("navigation", { name: "Pages, short" }).getByRole("link", { name: "Tasks" }).click();
  await page.getByRole("heading", { level: 1, name: "Tasks" }).waitFor();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByRole("dialog", { name: "More" }).getByRole("link", { name: "Schedules" }).click();
  await page.getByRole("heading", { level: 1, name: "Schedules" }).waitFor();
  expect(await page.getByRole("dialog").count()).toBe(0);
});

test("an address that no page has leads back", async () => {
  const page = await web.open("#/nowhere");
  await page.getByRole("link", { name: "To the overview" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
});

test("an API that goes away is said so, what was there stays, and the page goes on when it is back", async () => {
  await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
  const page = await web.open("#/tasks", { expected: [/ERR_FAILED/, /Failed to load/] });
  const rows = page.getByRole("table", { name: "Tasks" }).locator("tbody tr[aria-rowindex]");
  await rows.first().waitFor();
  await page.route("**/v1/**", (route) => route.abort());
  const banner = page.getByText("The API does not answer.");
  await banner.waitFor({ timeout: 30_000 });
  expect(await rows.count()).toBe(1);
  await page.unroute("**/v1/**");
  await banner.waitFor({ state: "detached", timeout: 30_000 });
});
