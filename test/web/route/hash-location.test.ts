/** The place in the fragment of the address. */
import { describe, expect, test } from "vitest";
import { hashFor, placeOf } from "../../../runtime/web/route/hash-location.ts";
import { changed } from "../../../runtime/web/route/params.ts";

describe("placeOf", () => {
  test.each([
    ["", "/", ""],
    ["#", "/", ""],
    ["#/tasks", "/tasks", ""],
    ["#/tasks?state=failed&task=a%2Fb", "/tasks", "state=failed&task=a%2Fb"],
    ["#tasks", "/tasks", ""],
    ["#/tasks?label=a=b?c", "/tasks", "label=a=b?c"],
  ])("of %j is %j with %j", (hash, path, search) => {
    expect(placeOf(hash)).toEqual({ path, search });
  });
});

describe("hashFor", () => {
  const here = { path: "/runs/1", search: "tab=steps" };

  test("a path leaves the search behind", () => {
    expect(hashFor("/tasks", here)).toBe("#/tasks");
  });

  test("a search alone stays on the page", () => {
    expect(hashFor("?tab=graph", here)).toBe("#/runs/1?tab=graph");
  });

  test("an empty search takes it away", () => {
    expect(hashFor("?", here)).toBe("#/runs/1");
  });
});

describe("changed", () => {
  test("keeps what is not named, and takes away what is null, empty or an empty list", () => {
    const before = new URLSearchParams("state=failed&state=running&task=a&queue=b&at=c");
    expect(`${changed(before, { state: [], task: "", queue: null, tab: "x" })}`).toBe("at=c&tab=x");
  });

  test("writes a list as the parameter several times", () => {
    expect(`${changed(new URLSearchParams(), { state: ["failed", "lost"] })}`).toBe("state=failed&state=lost");
  });
});
