/** `npm run bench:cost`: what the stack costs, as the Markdown of infra/README.md. A test compares the two. */
import type { Values } from "../infra/config-keys.ts";
import { type CostedStack, STACKS, valuesOf } from "./cost-stacks.ts";
import { HOURS, idleCost } from "./idle-cost.ts";
import { type Measured, readMeasured } from "./measured.ts";
import { PRICE_DATE, PRICE_REGION, PRICES } from "./prices.ts";
import { taskCost, total } from "./task-cost.ts";

/** What a million tasks may cost at saturation, in US dollars: the limit this project sets itself. */
export const TARGET = 0.25;
/** SQS requests of a task that shares none with another. */
const UNBATCHED = 3;
/** Mean rates, in tasks a second, over which the cost of an idle stack is spread. */
const RATES = [1, 10, 100, 1_000];

export function costReport(measured: Measured = readMeasured()): string {
  const stacks = STACKS.map((stack) => ({ name: stack.name, values: valuesOf(stack) }));
  return [
    `US dollars, list prices of ${PRICE_REGION}, read ${PRICE_DATE}.`,
    "",
    "A month in which nothing is submitted:",
    "",
    table(
      stacks.map(({ name }) => name),
      stacks.map(({ values }) => idleCost(values)),
      (usd) => usd.toFixed(2),
    ),
    "",
    "A million no-op tasks at saturation, on top of that:",
    "",
    taskTable(measured),
    "",
    "What changes these figures, for a million tasks of the default stack:",
    "",
    changes(measured),
    "",
    "The idle stack, spread over a million tasks at a mean rate:",
    "",
    spreadTable(stacks),
  ].join("\n");
}

function changes(measured: Measured): string {
  const [first] = STACKS as [CostedStack];
  const values = valuesOf(first);
  const usual = taskCost(values, measured);
  const week = taskCost({ ...values, taskRetentionDays: 7 }, measured);
  const rows: [string, number][] = [
    [
      "one task at a time: a send, a receive and a delete each",
      (UNBATCHED - measured.requests) * PRICES.sqsStandard.usd,
    ],
    ["an input or result above 64 KiB, written to S3 and read once", PRICES.bucketPut.usd + PRICES.bucketGet.usd],
    ["finished tasks kept for 7 days (`taskRetentionDays`)", week["rows kept"] - usual["rows kept"]],
  ];
  return [
    row(["change", "more or less"]),
    row(["---", "--:"]),
    ...rows.map(([what, usd]) => row([what, `${usd < 0 ? "−" : "+"}${Math.abs(usd).toFixed(2)}`])),
  ].join("\n");
}

/** The same stack with another way to SQS beside it, because that is the part which decides about the target. */
function taskTable(measured: Measured): string {
  const [first, second, smallest] = STACKS as [CostedStack, CostedStack, CostedStack];
  const byEndpoints = ({ name, config }: CostedStack): CostedStack => ({
    name: `${name}, \`natGateways: none\``,
    config: { ...config, natGateways: "none" },
  });
  const stacks = [first, byEndpoints(first), second, byEndpoints(second), smallest];
  const costs = stacks.map((stack) => taskCost(valuesOf(stack), measured));
  const verdicts = costs.map((parts) => (total(parts) <= TARGET ? "met" : "missed"));
  return [
    table(
      stacks.map(({ name }) => name),
      costs,
      (usd) => usd.toFixed(3),
    ),
    row([`target: ${TARGET.toFixed(2)} or less`, ...verdicts]),
  ].join("\n");
}

function spreadTable(stacks: readonly { readonly name: string; readonly values: Values }[]): string {
  return [
    row(["mean rate", ...stacks.map(({ name }) => name)]),
    row(["---", ...stacks.map(() => "--:")]),
    ...RATES.map((rate) =>
      row([`${rate}/s`, ...stacks.map(({ values }) => spread(total(idleCost(values)), rate).toFixed(2))]),
    ),
  ].join("\n");
}

/** US dollars a million tasks, of so many a month, at so many tasks a second all month. */
export function spread(usdPerMonth: number, perSecond: number): number {
  return usdPerMonth / ((perSecond * HOURS * 3_600) / 1e6);
}

function table<Part extends string>(
  names: readonly string[],
  columns: readonly Readonly<Record<Part, number>>[],
  shown: (usd: number) => string,
): string {
  const parts = Object.keys(columns[0] ?? {}) as Part[]; // All columns have the same parts.
  return [
    row(["part", ...names]),
    row(["---", ...names.map(() => "--:")]),
    ...parts.map((part) => row([part, ...columns.map((column) => (column[part] === 0 ? "–" : shown(column[part])))])),
    row(["**together**", ...columns.map((column) => `**${shown(total(column))}**`)]),
  ].join("\n");
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

if (import.meta.main) console.log(costReport());
