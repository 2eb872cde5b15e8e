/**
 * The dashboard for a file of tests: one system and one browser, and after each test the problems of its pages.
 *
 *   const web = useDashboard();
 *   test("…", async () => {
 *     const page = await web.open("#/tasks");
 *     …
 *   });
 */

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, onTestFailed } from "vitest";
import { type Chromium, type OpenPage, type PageOptions, startChromium } from "./browser.ts";
import { type Stack, type StackOptions, startStack } from "./stack.ts";

export type Dashboard = Omit<Stack, "stop"> & {
  /** Opens a page at a hash such as `#/tasks`. It is closed after the test. */
  open(hash: string, options?: Omit<PageOptions, "url" | "hash">): Promise<Page>;
};

/** Call it once, at the top of the file. */
export function useDashboard(options: StackOptions = {}): Dashboard {
  let stack: Stack | undefined;
  let chromium: Chromium | undefined;
  let pages: OpenPage[] = [];

  beforeAll(async () => {
    [stack, chromium] = await Promise.all([startStack(options), startChromium()]);
  });
  afterEach(async () => {
    const problems = pages.flatMap((one) => one.problems);
    await Promise.all(pages.map((one) => one.close()));
    pages = [];
    expect(problems, "problems of the pages").toEqual([]);
  });
  afterAll(async () => {
    await chromium?.close();
    await stack?.stop();
  });

  function started(): Stack {
    if (stack === undefined) throw new Error("expected to be used in a test: the system is started before the first");
    return stack;
  }

  return {
    get url() {
      return started().url;
    },
    get client() {
      return started().client;
    },
    get database() {
      return started().database;
    },
    get workers() {
      return started().workers;
    },
    key: (scopes, tenant) => started().key(scopes, tenant),
    async open(hash, more = {}) {
      if (chromium === undefined)
        throw new Error("expected to be used in a test: the browser is started before the first");
      const opened = await chromium.open({ url: started().url, hash, ...more });
      pages.push(opened);
      const { page, problems } = opened;
      onTestFailed(async () => {
        console.error(`the page was at ${page.url()}`, ...problems);
      });
      return page;
    },
  };
}
