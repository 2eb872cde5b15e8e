/** Not run but compiled: where a mistake that is marked compiles, or anything else does not, the type check fails. */
import { expectTypeOf, test } from "vitest";
import { z } from "zod";
import { defineJob, defineTask, equals, type JobBuilder, optional } from "../../runtime/define/index.ts";
import type { Json } from "../../runtime/define/reference.ts";

const listFiles = defineTask({
  name: "list",
  input: z.strictObject({ count: z.int(), after: z.string().optional() }),
  run: async ({ count }) => ({
    files: Array.from({ length: count }, (_, place) => ({ path: `f${place}`, bytes: place })),
    kind: "full" as "full" | "partial",
    next: null as { page: number } | null,
    made: new Date(0),
    // Names that a reference must not have for itself.
    optional: "t",
    length: 1,
    "a.b": { c: true },
  }),
});
const parseFile = defineTask({
  name: "parse",
  input: z.object({ path: z.string(), place: z.int().optional() }),
  run: () => ({ rows: 1 }),
});
const summarise = defineTask({
  name: "summarise",
  input: z.object({ parts: z.array(z.object({ rows: z.number() })), title: z.string().nullable().default(null) }),
  run: ({ parts }) => ({ total: parts.length }),
});
const anything = defineTask({ name: "anything", input: z.unknown(), run: () => {} });

const INPUT = z.object({ files: z.int().min(1), title: z.string().optional() });

test("what the types of references refuse does not compile", () => {
  expectTypeOf(mistakes).toBeFunction();
});

test("a reference is typed by the result as JSON", () => {
  expectTypeOf<
    Json<{ made: Date; nothing: undefined; list: readonly { readonly a: 1 }[]; some?: string }>
  >().toEqualTypeOf<{
    made: string;
    nothing: undefined;
    list: { a: 1 }[];
    some?: string;
  }>();
  expectTypeOf<Json<void>>().toEqualTypeOf<null>();
  expectTypeOf<Json<unknown>>().toBeUnknown();
});

function mistakes(job: JobBuilder): void {
  const list = job.step("list", listFiles, { count: 1 });
  // @ts-expect-error a field that the result has not
  list.flies;
  // @ts-expect-error a field that the element has not
  job.map("a", list.files, parseFile, (file) => ({ path: file.pth }));
  // @ts-expect-error a number for a string
  job.map("b", list.files, parseFile, (file) => ({ path: file.bytes }));
  // @ts-expect-error no list
  job.map("c", list.kind, parseFile, (path) => ({ path }));
  // @ts-expect-error a field that the input has not
  job.step("d", listFiles, { count: 1, cuont: 2 });
  // @ts-expect-error a field that the input needs
  job.step("e", listFiles, {});
  // @ts-expect-error a whole result for one of its fields
  job.step("f", listFiles, { count: list });
  // @ts-expect-error null, where the task takes none
  job.step("g", listFiles, { count: optional(list.length) });
  // @ts-expect-error a field of what may be null
  job.step("h", listFiles, { count: list.next.page });
  // @ts-expect-error a list of other things
  job.step("i", summarise, { parts: list.files });
  // @ts-expect-error a list for an element of it
  job.step("j", summarise, { parts: [list.files] });
  // @ts-expect-error a value that this can never be
  equals(list.kind, "ful");
  // @ts-expect-error a reference is no value yet
  list.length + 1;
  // @ts-expect-error a comparison with a reference says nothing
  list.kind === "full";
  // @ts-expect-error an option that steps have not
  job.step("k", anything, 1, { timeout: 5 });
  // A date is a text once it was JSON.
  job.step("l", parseFile, { path: list.made });
  // @ts-expect-error and no date any more
  list.made.getTime();
  // Fields of what may be null are there for those who can do without.
  job.step("m", summarise, { parts: [], title: optional(list.kind) });
  const record = defineTask({ name: "r", input: z.record(z.string(), z.number()), run: () => 1 });
  // @ts-expect-error a number is no record, although a reference to one is an object
  job.step("n", record, list.length);
  defineJob({
    name: "o",
    input: INPUT,
    // @ts-expect-error the input of this task is not the outcome of a run
    onFinished: listFiles,
    build: () => {},
  });
  defineJob({
    name: "p",
    input: INPUT,
    build(inner, input) {
      // @ts-expect-error a field that the input of the run has not
      input.fils;
      // @ts-expect-error one that may be missing
      inner.step("a", parseFile, { path: input.title });
    },
  });
  // @ts-expect-error a handler that returns something else than its output says
  defineTask({ name: "q", input: z.unknown(), output: z.object({ n: z.number() }), run: () => ({ n: "1" }) });
}
