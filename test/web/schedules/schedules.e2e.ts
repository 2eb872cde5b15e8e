/** Schedules: making one from the form, running it now, pausing, resuming and deleting it. */
import { expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { audited } from "../audited.ts";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();

test("a schedule is made from the form, run at once, paused, resumed and deleted", async () => {
  const page = await web.open("#/schedules/new");
  await page.getByLabel("Name").fill("every-hour");
  await page.getByLabel("Task", { exact: true }).selectOption("web.note");
  await page.getByLabel("Input").fill('{"text": "from a schedule"}');
  await page.getByLabel("Cron expression").fill("30 * * * *");
  await page.getByLabel("Time zone").fill("Europe/Berlin");
  await page.getByLabel("Labels").fill("team=data");
  await page.getByRole("button", { name: "Make the schedule" }).click();
  await page.getByRole("heading", { level: 1, name: "every-hour" }).waitFor();
  await page.getByText("30 * * * * Europe/Berlin").waitFor();
  const [schedule] = (await web.client.schedules.list({ name: "every-hour" })).schedules;
  expect(schedule).toMatchObject({ task: "web.note", input: { text: "from a schedule" }, labels: { team: "data" } });
  const id = schedule?.scheduleId ?? "";

  await page.getByRole("button", { name: "Run now" }).click();
  await page.getByRole("button", { name: "Run it now" }).click();
  await page.getByRole("link", { name: "Show the task" }).click();
  await page.getByRole("region", { name: "result" }).getByText("from a schedule").waitFor();
  await page.goBack();

  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await page.getByRole("button", { name: "Pause the schedule" }).click();
  await page.getByRole("heading", { level: 1 }).getByText("paused").waitFor();
  await page.getByRole("button", { name: "Resume", exact: true }).click();
  await page.getByRole("button", { name: "Resume the schedule" }).click();
  await page.getByRole("heading", { level: 1 }).getByText("active").waitFor();

  await page.getByRole("button", { name: "Delete", exact: true }).click();
  await page.getByRole("button", { name: "Delete the schedule" }).click();
  await expect.poll(() => new URL(page.url()).hash).toBe("#/schedules");
  await page.getByRole("heading", { name: "There are no schedules" }).waitFor();
  for (const verb of ["create", "trigger", "pause", "resume", "delete"]) {
    expect(await audited(web, `schedule.${verb}`)).toContain(id);
  }
});

test("what is wrong with a field stands there: what the page can tell, and what only the API can", async () => {
  const page = await web.open("#/schedules/new", { expected: [/status of 422/] });
  const make = page.getByRole("button", { name: "Make the schedule" });
  await make.click();
  await page.getByText("Expected a name.").waitFor();
  await page.getByLabel("Name").fill("wrong");
  await page.getByLabel("Task", { exact: true }).selectOption("sleep");
  await page.getByLabel("Input").fill('{"duration_seconds": "long"}');
  await make.click();
  await expect.poll(() => page.getByLabel("Input").getAttribute("aria-invalid")).toBe("true");
  await page.getByRole("alert").waitFor();
  expect((await web.client.schedules.list({ name: "wrong" })).schedules).toEqual([]);
});

test("the buttons of the list act on their own row", async () => {
  const made = await Promise.all(
    ["first", "second"].map((name) =>
      web.client.schedules.create({ name, task: "web.note", input: { text: name }, intervalMs: 86_400_000 }),
    ),
  );
  const page = await web.open("#/schedules");
  const row = page.getByRole("row", { name: /second/ });
  await row.getByRole("button", { name: "Pause" }).click();
  await page
    .getByRole("dialog", { name: "Pause the schedule second?" })
    .getByRole("button", { name: "Pause the schedule" })
    .click();
  await row.getByText("paused").waitFor();
  await until(async () => {
    const states = await Promise.all(
      made.map(async ({ scheduleId }) => (await web.client.schedules.get(scheduleId)).state),
    );
    return states.join() === "active,paused";
  });
});
