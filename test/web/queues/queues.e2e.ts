/** Queues: their figures, pausing one, and putting its dead letters back to work. */
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { audited } from "../audited.ts";
import { useDashboard } from "../harness/dashboard.ts";

const web = useDashboard();

describe("a queue", () => {
  test("is paused after a question, shows it, keeps its tasks waiting, and goes on when it is resumed", async () => {
    const page = await web.open("#/queues/default");
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    const question = page.getByRole("dialog", { name: "Pause the queue default?" });
    expect(await question.textContent()).toContain("all tenants");
    await question.getByRole("button", { name: "Pause the queue" }).click();
    await page.getByRole("heading", { level: 1 }).getByText("paused").waitFor();
    expect((await web.client.queues.get("default")).pausedAt).not.toBeNull();

    await page.getByRole("button", { name: "Resume", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Resume the queue" }).click();
    await page.getByRole("button", { name: "Pause", exact: true }).waitFor();
    expect((await web.client.queues.get("default")).pausedAt).toBeNull();
    expect(await audited(web, "queue.pause")).toEqual(["default"]);
    expect(await audited(web, "queue.resume")).toEqual(["default"]);
  });

  test("that there is none of names those that there are", async () => {
    const page = await web.open("#/queues/nowhere");
    await page.getByText("There are: default, ordered.").waitFor();
  });

  test("is found in the list, with a way to its tasks", async () => {
    const page = await web.open("#/queues");
    await page.getByRole("table", { name: "Queues" }).getByRole("link", { name: "ordered" }).click();
    await page.getByRole("link", { name: "Its tasks" }).click();
    await expect.poll(() => new URL(page.url()).hash).toBe("#/tasks?queue=ordered");
    expect(await page.getByLabel("Queue", { exact: true }).inputValue()).toBe("ordered");
  });
});

test("dead letters are shown with their reasons, counted, and queued again until none is left", async () => {
  const failing = Array.from({ length: 3 }, () => ({ task: "web.flaky", input: { reason: "disk full" } }));
  const { taskIds } = await web.client.enqueueBatch(failing);
  await Promise.all(taskIds.map((id) => web.client.wait(id)));
  await until(async () => (await web.client.queues.get("default")).deadLettered === 3, { deadlineMs: 30_000 });

  const page = await web.open("#/queues/default");
  await page.getByText("About 3 messages now.").waitFor();
  await page.getByRole("button", { name: "Look inside" }).click();
  const reasons = page.getByRole("table", { name: "Dead letters by reason" });
  expect(await reasons.locator("tbody tr").first().textContent()).toMatch(/web\.flaky.*handler_error.*3/);
  // Looking changed nothing.
  for (const id of taskIds) expect((await web.client.get(id)).state).toBe("failed");

  await page.getByRole("button", { name: "Redrive…" }).click();
  const question = page.getByRole("dialog", { name: "Redrive default?" });
  await question.getByText("3 tasks").first().waitFor();
  await question.getByLabel("Tasks a second").fill("500");
  await question.getByRole("button", { name: "Redrive 3 tasks" }).click();
  await page.locator("[data-toast=done]").getByText("3 tasks queued again").waitFor();
  expect(await audited(web, "queue.redrive")).toContain("default");
  await until(async () =>
    (await Promise.all(taskIds.map((id) => web.client.get(id)))).every(({ attempt }) => attempt === 4),
  );
});

test("a rate that is none is refused before anything is sent", async () => {
  const { taskId } = await web.client.enqueue("web.flaky", {});
  await web.client.wait(taskId);
  await until(async () => (await web.client.queues.get("default")).deadLettered !== 0, { deadlineMs: 30_000 });
  const page = await web.open("#/queues/default");
  await page.getByRole("button", { name: "Redrive…" }).click();
  await page.getByLabel("Tasks a second").fill("501");
  await page.getByText("Expected a whole number from 1 to 500.").waitFor();
  expect(
    await page
      .getByRole("dialog")
      .getByRole("button", { name: /^Redrive/ })
      .getAttribute("aria-disabled"),
  ).toBe("true");
});
