import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hashKey, KEY_ENVIRONMENT, KEY_ID, makeKey, parseKey } from "../../runtime/access/key.ts";
import { COMMAND_TASK } from "../../runtime/api/caller.ts";
import { COMMAND } from "../../runtime/tasks/command.ts";

/** Computed by Python's zlib. */
const GOLDEN_CHECKSUM = "1idjRQ";
/** Every character that can stand in a key, and some that cannot. */
const CHARACTERS = [..."abcxyzABCXYZ0123456789-_ .é"];

describe("a new key", () => {
  test("has the environment, an id, 43 characters of secret and 6 of checksum", () => {
    const { text, id, environment, hash } = makeKey("prod-eu");
    expect(text).toMatch(/^tq_prod-eu_[a-z2-9]{12}_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/);
    expect(text.startsWith(`tq_prod-eu_${id}_`)).toBe(true);
    expect([KEY_ID.test(id), KEY_ENVIRONMENT.test(environment)]).toEqual([true, true]);
    expect(parseKey(text)).toEqual({ environment: "prod-eu", id });
    expect(hash).toEqual(createHash("sha256").update(text).digest());
  });

  test("has 256 random bits of its own", () => {
    const keys = Array.from({ length: 500 }, () => makeKey("local"));
    const secrets = keys.map(({ text }) => text.slice("tq_local_".length + 13, -6));
    expect(new Set(secrets).size).toBe(500);
    expect(new Set(keys.map(({ id }) => id)).size).toBe(500);
    for (const secret of secrets) expect(Buffer.from(secret, "base64url")).toHaveLength(32);
  });
});

describe("the text of a key", () => {
  test("is recognised without a database, whatever one character of it is changed to", () => {
    const { text } = makeKey("local");
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...CHARACTERS), (at, character) => {
        const changed = text.slice(0, at) + character + text.slice(at + 1);
        expect(parseKey(changed) !== undefined).toBe(changed === text);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each([
    ["nothing", ""],
    ["something else", "Bearer"],
    ["another kind of key", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"],
    ["an environment that is too long", makeKey("a".repeat(21)).text],
    ["an environment with other letters", makeKey("Prod").text],
    ["a key with white space after it", `${makeKey("local").text}\n`],
    ["two keys", makeKey("local").text + makeKey("local").text],
  ])("is not taken for one: %s", (_name, text) => {
    expect(parseKey(text)).toBeUndefined();
  });

  test("has a checksum that other implementations can compute: CRC-32 in base 62, digits before capitals before small letters", () => {
    const body = "tq_local_abcdefghijkm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    expect(parseKey(`${body}${GOLDEN_CHECKSUM}`)).toEqual({ environment: "local", id: "abcdefghijkm" });
  });
});

test("equal keys have equal hashes, others others", () => {
  const { text } = makeKey("local");
  expect(hashKey(text)).toEqual(hashKey(text));
  expect(hashKey(text)).not.toEqual(hashKey(`${text} `));
});

test("the scope `command` guards the task that runs programs", () => {
  expect(COMMAND_TASK).toBe(COMMAND);
});
