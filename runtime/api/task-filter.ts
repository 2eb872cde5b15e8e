/** Which tasks are meant: the same words in the query of a list and in the body of a bulk action, and as parameters of their SQL. */
import { z } from "zod";
import { TASK_STATES, type TaskState } from "../model/task.ts";
import { DOCS } from "./docs.ts";

export type TaskFilter = {
  /** Null: the default of whoever asks. */
  readonly states: readonly TaskState[] | null;
  readonly task: string | null;
  readonly queue: string | null;
  readonly labels: readonly { readonly name: string; readonly value: string }[];
  readonly createdAfter: Date | null;
  readonly createdBefore: Date | null;
};

const MAX_LABELS = 10;
const MAX_NAME_CHARS = 200;
/** Above the longest name and value with their sign. */
const MAX_LABEL_CHARS = 1_300;
const LAST_MS = Date.parse("9999-12-31T23:59:59.999Z");

/** Text columns hold no U+0000, and a parameter with one would be refused by the server. */
export const NAME = z
  .string()
  .min(1)
  .max(MAX_NAME_CHARS)
  .refine((text) => !text.includes("\0"), "expected no U+0000");

const LABEL = z
  .string()
  .max(MAX_LABEL_CHARS)
  .regex(/^[^=]+=/s, "expected name=value");

export const TIME = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .refine((time) => Number(time) >= 0 && Number(time) <= LAST_MS, "expected a time from 1970 to 9999");

/** `failed,cancelled`, `["failed", "cancelled"]`, or the parameter twice. */
export const STATES = z
  .union([z.string().max(200), z.array(z.string().max(200)).max(20)])
  .transform((given) => [given].flat().flatMap((text) => text.split(",")))
  .pipe(z.array(z.enum(TASK_STATES)).min(1));

export const FILTER_SHAPE = {
  state: STATES.optional().register(DOCS, { description: "One state, or several with commas: `failed,cancelled`." }),
  task: NAME.optional().register(DOCS, { description: "The name of the task." }),
  queue: NAME.optional(),
  label: z
    .union([LABEL, z.array(LABEL).max(MAX_LABELS)])
    .optional()
    .register(DOCS, { description: "`name=value`, exactly; given several times, all have to match." }),
  created_after: TIME.optional().register(DOCS, { description: "Accepted at this time or later, ISO 8601." }),
  created_before: TIME.optional().register(DOCS, { description: "Accepted earlier than this." }),
};

const FILTER = z.object(FILTER_SHAPE);

export function filterOf(given: z.output<typeof FILTER>): TaskFilter {
  return {
    states: given.state === undefined ? null : [...new Set(given.state)],
    task: given.task ?? null,
    queue: given.queue ?? null,
    labels: [given.label ?? []].flat().map((text) => {
      const at = text.indexOf("=");
      return { name: text.slice(0, at), value: text.slice(at + 1) };
    }),
    createdAfter: given.created_after ?? null,
    createdBefore: given.created_before ?? null,
  };
}

/** Task, queue, labels (names, values, JSON members), created from, created before: in this order in every statement that filters. */
export function filterParams({ task, queue, labels, createdAfter, createdBefore }: TaskFilter): unknown[] {
  const labelParams =
    labels.length === 0
      ? [null, null, null]
      : [
          labels.map(({ name }) => storable(name)),
          labels.map(({ value }) => storable(value)),
          labels.map(({ name, value }) => `${JSON.stringify(name)}:${JSON.stringify(value)}`),
        ];
  return [task, queue, ...labelParams, createdAfter, createdBefore];
}

/** A label with U+0000 in it stands escaped in its row, where only the JSON member finds it: null equals nothing. */
function storable(text: string): string | null {
  return text.includes("\0") ? null : text;
}
