import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hashKey, parseKey } from "../../runtime/access/key.ts";
import { createClient } from "../../runtime/client/client.ts";
import { type Deployment, startDeployment } from "../client/deployment.ts";
import { createEmptyDatabase } from "../support/database.ts";
import { runCli } from "./run-cli.ts";

let deployment: Deployment;
/** Made by keygen before anything else. */
let admin = "";

beforeAll(async () => {
  deployment = await startDeployment({ TASKIQ_API_AUTH: "keys", TASKIQ_KEY_ENVIRONMENT: "test" });
  const { code, stdout, stderr } = await keygen([]);
  expect(stderr).toMatch(/^Key [a-z2-9]{12} of tenant default: admin; expires \d{4}-.*Z\. It is not shown again\.\n$/);
  expect(code).toBe(0);
  admin = stdout.trim();
});
afterAll(async () => {
  await deployment?.stop();
});

const keygen = (args: readonly string[]) =>
  runCli(["keygen", ...args], { env: { DATABASE_URL: deployment.env.DATABASE_URL } });
const run = (args: readonly string[], key: string | undefined = admin) =>
  runCli(args, { env: { TASKIQ_URL: deployment.url, ...(key !== undefined && { TASKIQ_API_KEY: key }) } });
const idOf = (key: string) => parseKey(key.trim())?.id ?? "";

describe("keygen", () => {
  test("makes the first key, with which the API lets in", async () => {
    expect(admin).toMatch(/^tq_local_/);
    expect(await run(["key", "list"])).toMatchObject({ code: 0, stdout: expect.stringContaining(idOf(admin)) });
  });

  test("takes tenant, scopes, life and environment", async () => {
    const args = ["--name", "bot", "--tenant", "acme", "--scopes", "enqueue, read", "--expires", "12h"];
    const { code, stdout } = await keygen([...args, "--environment", "prod", "--json"]);
    const made = JSON.parse(stdout);
    expect(made).toMatchObject({ name: "bot", tenant: "acme", scopes: ["enqueue", "read"], created_by: "keygen" });
    expect(Date.parse(made.expires_at) - Date.parse(made.created_at)).toBe(12 * 3_600_000);
    expect(parseKey(made.key)).toEqual({ environment: "prod", id: made.id });
    expect(code).toBe(0);
  });

  test("makes a key here and stores its fingerprint there, so that no container has to print it", async () => {
    const offline = await runCli(["keygen", "--offline"]);
    const key = offline.stdout.trim();
    const fingerprint = `${idOf(key)}:${hashKey(key).toString("hex")}`;
    expect(offline.stderr).toContain(`--fingerprint ${fingerprint}`);
    const stored = await keygen(["--fingerprint", fingerprint, "--name", "second"]);
    expect(stored).toMatchObject({ code: 0, stdout: `${idOf(key)}\n` });
    expect(`${stored.stdout}${stored.stderr}`).not.toContain(key);
    expect(await run(["key", "list"], key)).toMatchObject({ code: 0 });
  });

  test.each([
    [["--scopes", "root"], "Expected words out of enqueue, read, operate, command, admin"],
    [["--expires", "soon"], "Expected never, or hours or days up to 3650 days, for example 90d"],
    [["--expires", "4000d"], "Expected never, or hours or days"],
    [["--fingerprint", "abc"], "Expected what keygen --offline printed"],
    [["--tenant", "*"], "--tenant: expected 1 to 100 letters"],
    [["--name", ""], "--name: expected 1 to 100 letters"],
    [["--environment", "Prod_1"], "--environment: expected up to 20 lower-case letters"],
  ])("refuses %j", async (args, message) => {
    const { code, stdout, stderr } = await keygen(args);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  test("says what to do where the schema is not there, or the database", async () => {
    const empty = await createEmptyDatabase();
    try {
      const { code, stderr } = await runCli(["keygen"], { env: { DATABASE_URL: empty.url } });
      expect(stderr).toContain("migrate");
      expect(code).toBe(2);
    } finally {
      await empty.drop();
    }
    const away = await runCli(["keygen"], { env: { DATABASE_URL: "postgres://u:secret@127.0.0.1:1/x" } });
    expect(away.stderr).toContain("expected the database of DATABASE_URL");
    expect(away.stderr).not.toContain("secret");
    expect(away).toMatchObject({ code: 1, stdout: "" });
  });
});

describe("key", () => {
  test("create prints the key alone to standard output", async () => {
    const { code, stdout, stderr } = await run(["key", "create", "bot", "--scopes", "enqueue,read"]);
    expect(parseKey(stdout.trim())?.environment).toBe("test");
    expect(stderr).toContain("enqueue, read; expires");
    expect(code).toBe(0);
    const task = await run(["task", "run", "test.echo", "[1]", "--wait"], stdout.trim());
    expect(task).toMatchObject({ code: 0, stdout: "[1]\n" });
    expect(await run(["key", "list"], stdout.trim())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("scope admin"),
    });
  });

  test("rotate makes one like it; revoke ends the old one", async () => {
    const old = (await run(["key", "create", "rota", "--scopes", "read", "--expires", "30d", "--json"])).stdout;
    const { id, key } = JSON.parse(old);
    const rotated = await run(["key", "rotate", id]);
    expect(rotated.stderr).toContain(`taskiq-aws key revoke ${id}`);
    const next = rotated.stdout.trim();
    const show = (text: string) => run(["task", "show", "0198f3c0-0000-7000-8000-000000000000"], text);
    for (const text of [key, next]) expect(await show(text)).toMatchObject({ code: 3 });
    expect(await run(["key", "rotate", id])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("there are two"),
    });
    expect(await run(["key", "revoke", id])).toMatchObject({ code: 0, stdout: `Key ${id} (rota) is revoked.\n` });
    expect(await show(key)).toMatchObject({ code: 2, stderr: expect.stringContaining("revoked") });
    expect(await show(next)).toMatchObject({ code: 3 });
    const listed = JSON.parse((await run(["key", "list", "--json"])).stdout) as Record<string, unknown>[];
    const both = listed.filter(({ name }) => name === "rota").map(({ scopes, tenant }) => ({ scopes, tenant }));
    expect(both).toEqual([both[0], both[0]]);
  });

  test("list shows who, what, how long and whether it is used", async () => {
    await run(["key", "create", "quiet", "--scopes", "read", "--tenant", "acme", "--expires", "never"]);
    const { stdout } = await run(["key", "list"]);
    const [head, ...rows] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^ID +NAME +TENANT +SCOPES +STATE +USED$/);
    expect(rows.find((row) => row.includes("quiet"))).toMatch(/^[a-z2-9]{12} +quiet +acme +read +live +never$/);
    expect(rows.find((row) => row.startsWith(idOf(admin)))).toMatch(/ admin +default +admin +live for 36\d d .* ago$/);
  });

  test.each([
    [["key", "revoke", "abcdefghijkm"], 3],
    [["key", "rotate", "abcdefghijkm"], 3],
    [["key", "create", "bot"], 2],
    [["key", "create", "", "--scopes", "read"], 2],
  ])("%j exits with %s", async (args, expected) => {
    expect((await run(args)).code).toBe(expected);
  });

  test("without a key says where one comes from, and shows none that is wrong", async () => {
    const { code, stderr } = await runCli(["key", "list", "--json"], { env: { TASKIQ_URL: deployment.url } });
    expect(stderr).toContain("taskiq-aws keygen");
    expect(code).toBe(2);
    const wrong = await run(["key", "list"], "my secret key");
    expect(wrong).toMatchObject({
      code: 2,
      stdout: "",
      stderr: expect.stringContaining("expected an API key of 1 to 200"),
    });
    expect(wrong.stderr).not.toContain("my secret");
  });
});

test("doctor says that the API is there, with and without a key", async () => {
  const doctor = async (key?: string) => {
    const env = { TASKIQ_URL: deployment.url, ...(key !== undefined && { TASKIQ_API_KEY: key }) };
    return (await runCli(["doctor"], { env })).stdout;
  };
  expect(await doctor()).toContain("Set TASKIQ_API_KEY to a key with the scope read.");
  expect(await doctor(admin)).toMatch(/is ready; database ok, 1 worker alive/);
});

test("the typed client makes, lists and revokes keys, and asks only once for a new one", async () => {
  const { keys } = createClient({ baseUrl: deployment.url, apiKey: admin });
  const { text, key } = await keys.create({ name: "typed", scopes: ["read"], expiresInDays: null });
  expect(key).toMatchObject({
    id: idOf(text),
    name: "typed",
    expiresAt: null,
    revokedAt: null,
    createdAt: expect.any(Date),
  });
  expect((await keys.list()).map(({ id }) => id)).toContain(key.id);
  expect((await keys.revoke(key.id)).revokedAt).toBeInstanceOf(Date);
  await expect(keys.revoke("abcdefghijkm")).rejects.toMatchObject({ code: "key_not_found", status: 404 });
  let asked = 0;
  const failing: typeof fetch = async () => {
    asked++;
    return new Response("", { status: 503 });
  };
  const unlucky = createClient({ baseUrl: deployment.url, apiKey: admin, fetch: failing });
  await expect(unlucky.keys.create({ name: "typed", scopes: ["read"] })).rejects.toMatchObject({ status: 503 });
  expect(asked).toBe(1);
});
