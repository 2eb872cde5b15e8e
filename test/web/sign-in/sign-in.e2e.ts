/** Keys: who may see and do what, and what becomes of a key. */
import { describe, expect, test } from "vitest";
import { useDashboard } from "../harness/dashboard.ts";
import { lookedAt, WELL } from "../harness/looked-at.ts";

const web = useDashboard({ auth: "keys" });
const REFUSED = [/status of 401/, /status of 403/];

describe("signing in", () => {
  test.each([
    ["light", 1_280],
    ["dark", 1_280],
    ["light", 360],
  ] as const)("%s, %d pixels wide, keeps to WCAG AA, as far as a program can tell", async (theme, width) => {
    const page = await web.open("#/tasks", { theme, size: { width, height: 740 }, expected: REFUSED });
    await page.getByLabel("API key").waitFor();
    expect(await lookedAt(page)).toEqual(WELL);
  });

  test("asks for a key, refuses a wrong one with the reason, and lets a right one in", async () => {
    const page = await web.open("#/tasks?state=failed", { expected: REFUSED });
    const field = page.getByLabel("API key");
    await field.fill("with blanks in it");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("Expected an API key").waitFor();
    await field.fill("tq_nosuchkey_0000000000000000");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("key_invalid").waitFor();
    await field.fill(await web.key(["read", "operate"]));
    await page.keyboard.press("Enter");
    // Where the address had led to.
    await page.getByRole("heading", { level: 1, name: "Tasks" }).waitFor();
    expect(new URL(page.url()).hash).toBe("#/tasks?state=failed");
    await page.getByText("default · read, operate").waitFor();
  });

  test("keeps the key in the tab, out of the address, and forgets it when told to", async () => {
    const key = await web.key(["read"]);
    const page = await web.open("#/overview", { expected: REFUSED });
    await page.getByLabel("API key").fill(key);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
    expect(page.url()).not.toContain(key);
    expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).not.toContain(key);
    await page.getByRole("button", { name: "Forget the key" }).click();
    await page.getByLabel("API key").waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  });

  test("asks again when the key is revoked while the page is open", async () => {
    const key = await web.key(["read"]);
    const page = await web.open("#/tasks", { key, expected: REFUSED });
    await page.getByRole("heading", { level: 1, name: "Tasks" }).waitFor();
    const mine = (await web.client.keys.list())
      .filter(({ revokedAt }) => revokedAt === null)
      .find(({ id }) => key.includes(id));
    await web.client.keys.revoke(mine?.id ?? "");
    // Every process refuses it within 30 s.
    await page.getByRole("alert").getByText("key_revoked").waitFor({ timeout: 45_000 });
  });
});

describe("a key of the scope", () => {
  test("read sees everything, and every action says what it takes", async () => {
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
    const page = await web.open(`#/tasks/${taskId}`, { key: await web.key(["read"]) });
    const cancel = page.getByRole("button", { name: "Cancel", exact: true });
    expect(await cancel.getAttribute("aria-disabled")).toBe("true");
    expect(await cancel.getAttribute("title")).toBe("This needs a key with the scope operate; yours has read.");
    await page.keyboard.press("g");
    await page.keyboard.press("q");
    await page.getByRole("link", { name: "default" }).first().click();
    expect(await page.getByRole("button", { name: "Pause", exact: true }).getAttribute("aria-disabled")).toBe("true");
  });

  test("operate without read may not look, and the page says why", async () => {
    const page = await web.open("#/tasks", { key: await web.key(["operate"]), expected: REFUSED });
    await page.getByRole("alert").getByText("scope_missing").waitFor();
  });

  test("operate cancels, but a schedule needs enqueue", async () => {
    const key = await web.key(["read", "operate"]);
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
    const page = await web.open(`#/tasks/${taskId}`, { key });
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("button", { name: "Cancel the task" }).click();
    await page.getByRole("heading", { level: 1 }).getByText("cancelled").waitFor();
    const form = await web.open("#/schedules/new", { key });
    expect(await form.getByRole("button", { name: "Make the schedule" }).getAttribute("title")).toContain(
      "scope enqueue",
    );
  });

  test("enqueue alone may start work and see none of it", async () => {
    const page = await web.open("#/overview", { key: await web.key(["enqueue"]), expected: REFUSED });
    await page.getByRole("alert").getByText("scope_missing").waitFor();
    await page.getByText("default · enqueue").waitFor();
  });

  test("admin may do all of it", async () => {
    const page = await web.open("#/queues/default", { key: await web.key(["admin"]) });
    const pause = page.getByRole("button", { name: "Pause", exact: true });
    await pause.waitFor();
    expect(await pause.getAttribute("aria-disabled")).toBeNull();
  });
});

describe("a key of another tenant", () => {
  test("sees its own tasks only, and neither workers nor a way to pause a queue for others", async () => {
    const key = await web.key(["read", "operate", "enqueue"], "acme");
    const { taskId } = await web.client.enqueue("sleep", { duration_seconds: 1 }, { delayMs: 3_600_000 });
    const page = await web.open("#/tasks", { key, expected: [/status of 404/] });
    await page.getByRole("heading", { name: "There are no tasks yet" }).waitFor();
    await page.getByText("acme · read, operate, enqueue").waitFor();
    await page.goto(`${web.url}/#/workers`);
    await page.getByText("it needs a key of the tenant default").waitFor();
    await page.goto(`${web.url}/#/queues/default`);
    const pause = page.getByRole("button", { name: "Pause", exact: true });
    await pause.waitFor();
    expect(await pause.getAttribute("title")).toContain("concerns all tenants");
    await page.goto(`${web.url}/#/tasks/${taskId}`);
    await page.getByRole("heading", { name: "No task has this id" }).waitFor();
  });
});
