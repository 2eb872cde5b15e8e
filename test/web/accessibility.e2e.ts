/** Every page, by axe: nothing serious, in both themes, on a desk and on a phone. */
import { beforeAll, describe, expect, test } from "vitest";
import { useDashboard } from "./harness/dashboard.ts";
import { lookedAt, WELL } from "./harness/looked-at.ts";
import { type Seed, seed } from "./harness/seed.ts";
import { MISSING, PAGES, untilShown } from "./pages.ts";

const PHONE = { width: 360, height: 740 };
const DESK = { width: 1_280, height: 800 };

const web = useDashboard();
let seeded: Seed;

beforeAll(async () => {
  seeded = await seed(web);
}, 180_000);

describe.each([
  { theme: "light", size: DESK },
  { theme: "dark", size: DESK },
  { theme: "light", size: PHONE },
] as const)("$theme, $size.width pixels wide", ({ theme, size }) => {
  test.each(PAGES)(
    "$name keeps to WCAG AA, as far as a program can tell, and is no wider than the window",
    async (shown) => {
      const page = await web.open(shown.hash(seeded), { theme, size, expected: [MISSING] });
      await untilShown(page, shown);
      expect(await lookedAt(page)).toEqual(WELL);
    },
  );
});
