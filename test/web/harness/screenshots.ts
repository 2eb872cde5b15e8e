/** Pictures of every page, for people to look at: `.local/screenshots/<page>.<look>.png`. SCREENSHOTS names pages: `tasks,runs`. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, test } from "vitest";
import { MISSING, PAGES, untilShown } from "../pages.ts";
import { useDashboard } from "./dashboard.ts";
import { type Seed, seed } from "./seed.ts";

const FOLDER = fileURLToPath(new URL("../../../.local/screenshots", import.meta.url));
const WANTED = (process.env.SCREENSHOTS ?? "").split(",").filter((name) => name !== "");
const LOOKS = [
  { name: "light", theme: "light", size: { width: 1_440, height: 900 } },
  { name: "dark", theme: "dark", size: { width: 1_440, height: 900 } },
  { name: "phone", theme: "light", size: { width: 360, height: 740 } },
  { name: "phone-dark", theme: "dark", size: { width: 360, height: 740 } },
] as const;

const web = useDashboard();
const closed = useDashboard({ auth: "keys" });
let seeded: Seed;

beforeAll(async () => {
  await mkdir(FOLDER, { recursive: true });
  seeded = await seed(web);
}, 180_000);

describe.runIf(WANTED.length === 0 || WANTED.includes("sign-in"))("sign-in", () => {
  test.each(LOOKS)("$name", async ({ name, theme, size }) => {
    const page = await closed.open("#/overview", { theme, size, expected: [/status of 401/] });
    await page.getByLabel("API key").waitFor();
    await page.screenshot({ path: join(FOLDER, `sign-in.${name}.png`) });
  });
});

describe.each(
  PAGES.filter(({ name }) => WANTED.length === 0 || WANTED.includes(name)).map((page) => [page.name, page]),
)("%s", (_name, shown) => {
  test.each(LOOKS)("$name", async ({ name, theme, size }) => {
    if (typeof shown === "string") return;
    const page = await web.open(shown.hash(seeded), { theme, size, expected: [MISSING] });
    await untilShown(page, shown);
    await page.screenshot({ path: join(FOLDER, `${shown.name}.${name}.png`) });
  });
});
