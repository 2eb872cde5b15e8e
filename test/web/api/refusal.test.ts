/** What a key does not allow, told before anybody tries. */
import { expect, test } from "vitest";
import { refusalOf } from "../../../runtime/web/api/refusal.ts";

test("a scope that the key has is no refusal", () => {
  expect(refusalOf({ scopes: ["read", "operate"], home: true }, "operate", false)).toBeNull();
});

test("the scope admin stands for all", () => {
  expect(refusalOf({ scopes: ["admin"], home: true }, "operate", true)).toBeNull();
});

test("a missing scope is named, with those that are there", () => {
  expect(refusalOf({ scopes: ["read", "enqueue"], home: true }, "operate", false)).toBe(
    "This needs a key with the scope operate; yours has read, enqueue.",
  );
});

test("what concerns all tenants needs a key of the operators", () => {
  expect(refusalOf({ scopes: ["operate"], home: false }, "operate", true)).toMatch(/tenant default/);
  expect(refusalOf({ scopes: ["operate"], home: false }, "operate", false)).toBeNull();
});
