/**
 * Debian's Chromium. A page that it opens is watched: whatever goes to the console as an error, is thrown, is refused by the content security policy or
 * is fetched from elsewhere is a problem, which fails the test.
 */
import { access, constants } from "node:fs/promises";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

export type PageOptions = {
  /** The address of the API. */
  readonly url: string;
  /** What stands after it: `#/tasks`. */
  readonly hash: string;
  /** Given as if it had been typed in before. */
  readonly key?: string;
  readonly theme?: "light" | "dark";
  /** CSS pixels. Default 1,280 × 800. */
  readonly size?: { readonly width: number; readonly height: number };
  /** Problems that are meant to be, such as an answer 403: those whose text one of these matches. */
  readonly expected?: readonly RegExp[];
};

export type OpenPage = {
  readonly page: Page;
  /** Those so far that nobody expects. */
  readonly problems: readonly string[];
  close(): Promise<void>;
};

export type Chromium = { open(options: PageOptions): Promise<OpenPage>; close(): Promise<void> };

const PATH = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
/** Where the dashboard keeps the key of a tab. */
const KEY_NAME = "taskiq-aws.key";
const DESKTOP = { width: 1_280, height: 800 };
const TIMEOUT_MS = 15_000;

/** Throws where there is none, with what to do. */
export async function startChromium(): Promise<Chromium> {
  await access(PATH, constants.X_OK).catch(() => {
    throw new Error(
      `expected Chromium at ${PATH}, there is none. Install it (Debian: apt-get install chromium), or name it with CHROMIUM_PATH.`,
    );
  });
  // The sandbox of Chromium does not start as root, as which containers often run.
  const args = process.getuid?.() === 0 ? ["--no-sandbox", "--disable-dev-shm-usage"] : ["--disable-dev-shm-usage"];
  const browser = await chromium.launch({ executablePath: PATH, args });
  return { open: (options) => open(browser, options), close: () => browser.close() };
}

async function open(browser: Browser, options: PageOptions): Promise<OpenPage> {
  const { url, hash, key, theme = "light", size = DESKTOP, expected = [] } = options;
  const context = await browser.newContext({ viewport: size, colorScheme: theme, reducedMotion: "reduce" });
  context.setDefaultTimeout(TIMEOUT_MS);
  if (key !== undefined) await keep(context, key);
  const page = await context.newPage();
  const problems: string[] = [];
  const note = (problem: string): void => {
    if (!expected.some((pattern) => pattern.test(problem))) problems.push(problem);
  };
  page.on("console", (message) => {
    if (message.type() === "error") note(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => note(`thrown: ${error.stack ?? error.message}`));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    if (origin !== url && protocol !== "data:" && protocol !== "blob:")
      note(`fetched from elsewhere: ${request.url()}`);
  });
  await page.goto(`${url}/${hash}`);
  return { page, problems, close: () => context.close() };
}

async function keep(context: BrowserContext, key: string): Promise<void> {
  await context.addInitScript(([name = "", value = ""]) => sessionStorage.setItem(name, value), [KEY_NAME, key]);
}
