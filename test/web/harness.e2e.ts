/** The harness itself: that a page is served, and that what is wrong with one is noticed. */
import { createServer } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { type Chromium, startChromium } from "./harness/browser.ts";
import { useDashboard } from "./harness/dashboard.ts";

const web = useDashboard();

test("the dashboard comes up and shows its first page", async () => {
  const page = await web.open("");
  await page.locator("h1").first().waitFor();
  expect(new URL(page.url()).hash).toBe("#/overview");
});

describe("a page that does wrong", () => {
  let chromium: Chromium;
  let url = "";
  let body = "";
  const server = createServer((_request, response) => {
    response.setHeader("content-security-policy", "default-src 'none'; script-src 'unsafe-inline'; connect-src *");
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><link rel="icon" href="data:,"><title>page</title>${body}`);
  });

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    // A TCP listener's address is an object.
    const { port } = server.address() as { port: number };
    url = `http://127.0.0.1:${port}`;
    chromium = await startChromium();
  });
  afterAll(async () => {
    await chromium.close();
    server.close();
  });

  test.each([
    ["writes an error to the console", "<script>console.error('oops')</script>", /console: oops/],
    ["throws", "<script>throw new Error('oops')</script>", /thrown: Error: oops/],
    ["breaks the policy", "<style>p { color: red }</style>", /Content Security Policy/],
    ["fetches from elsewhere", "<script>fetch('http://localhost:1/').catch(() => {})</script>", /from elsewhere/],
  ])("%s", async (_name, html, problem) => {
    body = html;
    const { problems, close } = await chromium.open({ url, hash: "" });
    await until(() => problems.some((text) => problem.test(text)));
    await close();
  });
});
