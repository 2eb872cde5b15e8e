/** The filter in the address, as the API takes it. */
import { describe, expect, test } from "vitest";
import { filterText, narrowed, readLabels, readTaskFilter } from "../../../runtime/web/tasks/task-filter.ts";

const NOW_MS = Date.parse("2026-11-21T12:00:00Z");
const read = (search: string) => readTaskFilter(new URLSearchParams(search), NOW_MS);

describe("readTaskFilter", () => {
  test("an empty address is no filter", () => {
    expect(read("")).toEqual({ filter: {}, issues: {} });
  });

  test("reads states, names, labels and a span that ends now", () => {
    expect(read("state=failed&state=running&task=etl.load&queue=default&label=team%3Ddata&since=1h").filter).toEqual({
      states: ["running", "failed"],
      task: "etl.load",
      queue: "default",
      labels: { team: "data" },
      createdAfter: new Date(NOW_MS - 3_600_000),
    });
  });

  test("leaves out states that there are none of", () => {
    expect(read("state=done").filter).toEqual({});
  });

  test("names a label that is none, and filters by the rest", () => {
    expect(read("label=team&task=a")).toEqual({
      filter: { task: "a" },
      issues: { label: expect.stringMatching(/name=value/) },
    });
  });

  test("reads times only where they were asked for, and leaves out what is none", () => {
    const times = "after=2026-11-20T00:00:00.000Z&before=soon";
    expect(read(`since=between&${times}`).filter).toEqual({ createdAfter: new Date("2026-11-20T00:00:00Z") });
    expect(read(times).filter).toEqual({});
  });
});

describe("readLabels", () => {
  test.each([
    ["", {}],
    [" env=prod , team=a ", { env: "prod", team: "a" }],
    ["query=a=b", { query: "a=b" }],
    ["empty=", { empty: "" }],
  ])("%j", (text, labels) => {
    expect(readLabels(text)).toEqual(labels);
  });

  test.each(["env", "=prod", "env=prod,team"])("refuses %j", (text) => {
    expect(readLabels(text)).toBeUndefined();
  });
});

test("an action is for those of the chosen states that it can be for", () => {
  expect(narrowed({ task: "a" }, ["failed"])).toEqual({ task: "a" });
  expect(narrowed({ states: ["failed", "running"] }, ["failed", "cancelled"])).toEqual({ states: ["failed"] });
  expect(narrowed({ states: ["succeeded"] }, ["failed", "cancelled"])).toBeUndefined();
});

test("a filter can be said in words", () => {
  expect(
    filterText({ states: ["failed", "cancelled"], task: "sleep", queue: "default", labels: { a: "b", c: "d" } }),
  ).toBe("failed or cancelled tasks called sleep in the queue default with a=b and c=d");
  expect(filterText({})).toBe("tasks");
});
