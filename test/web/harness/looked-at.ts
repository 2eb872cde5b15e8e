/** What a program can tell of how a page is shown. */
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";

const WCAG_AA = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** What breaks WCAG AA by axe, and by how many pixels the page is wider than its window. */
export async function lookedAt(page: Page): Promise<{ violations: object[]; tooWide: number }> {
  const { violations } = await new AxeBuilder({ page }).withTags(WCAG_AA).analyze();
  const tooWide = await page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - window.innerWidth));
  return {
    violations: violations.map(({ id, impact, nodes }) => ({
      id,
      impact,
      where: nodes.slice(0, 5).map(({ target, failureSummary }) => `${target}: ${failureSummary}`),
    })),
    tooWide,
  };
}

/** Nothing to say. */
export const WELL = { violations: [], tooWide: 0 };
