import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { parseKey } from "../../runtime/access/key.ts";
import { FRESH_MS } from "../../runtime/access/verifier.ts";
import { systemClock } from "../../runtime/clock.ts";
import { clearAccess, createKey, revokeElsewhere } from "../access/test-keys.ts";
import { createManualClock, type ManualClock } from "../support/manual-clock.ts";
import { createTask } from "../support/tasks.ts";
import { type Answer, createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const DAY_MS = 86_400_000;

let place: PlaceKept;
let clock: ManualClock;
let api: TestApi;
let adminId = "";
let admin = "";

beforeAll(async () => {
  place = await createPlace();
  clock = createManualClock();
  // Its own waits are not what this is about.
  const parts = {
    access: { auth: "keys", environment: "test" },
    clock: { ...systemClock, nowMs: clock.nowMs },
  } as const;
  api = await openTestApi(place, { parts });
});
beforeEach(async () => {
  await clearAccess(api.database);
  ({ text: admin, id: adminId } = await createKey(api.database));
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const get = (url: string, key = admin) => api.get(url, bearer(key));
const post = (url: string, body: unknown, key = admin) => api.post(url, body, bearer(key));
const create = (body: object, key = admin) => post("/v1/keys", { name: "bot", scopes: ["read"], ...body }, key);
const textOf = ({ body }: Answer) => String(body.key);

describe("POST /v1/keys", () => {
  test("shows a key that works at once, this once, and never again", async () => {
    const answer = await create({ name: "deploy bot", scopes: ["read", "enqueue"] });
    expect(answer).toMatchObject({
      status: 201,
      body: {
        name: "deploy bot",
        tenant: "default",
        scopes: ["read", "enqueue"],
        created_by: adminId,
        revoked_at: null,
      },
    });
    const key = textOf(answer);
    expect(parseKey(key)).toEqual({ environment: "test", id: answer.body.id });
    expect(await get("/v1/audit", key)).toMatchObject({ status: 403 });
    expect(await get("/health", key)).toMatchObject({ status: 200 });
    for (const url of ["/v1/keys", "/v1/audit"]) {
      const { text } = await get(url);
      expect(text).toContain(String(answer.body.id));
      expect(text).not.toContain(key.slice(-49, -6));
      expect(text).not.toContain("hash");
    }
  });

  test.each([
    [{}, 365],
    [{ expires_in_days: 0.5 }, 0.5],
    [{ expires_in_days: null }, null],
  ])("with %j makes one that lives %s days", async (settings, days) => {
    const { body } = await create(settings);
    const lifeMs =
      body.expires_at === null ? null : Date.parse(String(body.expires_at)) - Date.parse(String(body.created_at));
    expect(lifeMs).toBe(days === null ? null : days * DAY_MS);
  });

  test.each([
    [{ name: "" }, "name"],
    [{ name: "x".repeat(101) }, "name"],
    [{ name: "a\nb" }, "name"],
    [{ scopes: [] }, "scopes"],
    [{ scopes: ["root"] }, "scopes.0"],
    [{ tenant: "a b" }, "tenant"],
    [{ tenant: "*" }, "tenant"],
    [{ expires_in_days: 0 }, "expires_in_days"],
    [{ expires_in_days: 3_651 }, "expires_in_days"],
    [{ key: "of my own" }, "key"],
  ])("refuses %j", async (settings, path) => {
    const { status, body } = await create(settings);
    expect({ status, code: body.code, path: body.issues[0]?.path }).toEqual({
      status: 422,
      code: "request_invalid",
      path,
    });
  });

  test("makes keys of other tenants for keys of the tenant default only", async () => {
    const theirs = textOf(await create({ name: "their admin", tenant: "acme", scopes: ["admin"] }));
    expect(await create({}, theirs)).toMatchObject({ status: 201, body: { tenant: "acme" } });
    expect(await create({ tenant: "acme" }, theirs)).toMatchObject({ status: 201 });
    for (const tenant of ["default", "other"]) {
      expect(await create({ tenant }, theirs)).toMatchObject({ status: 403, body: { code: "home_only" } });
    }
    const tenants = ({ body }: Answer) => new Set((body.keys as { tenant: string }[]).map(({ tenant }) => tenant));
    expect(tenants(await get("/v1/keys", theirs))).toEqual(new Set(["acme"]));
    expect(tenants(await get("/v1/keys"))).toEqual(new Set(["acme", "default"]));
  });
});

test("a key is replaced without a gap: the new one works beside the old one, which then ends", async () => {
  const old = await create({});
  const next = await create({});
  expect(await create({})).toMatchObject({ status: 409, body: { code: "key_limit" } });
  for (const key of [old, next]) expect(await get("/health", textOf(key))).toMatchObject({ status: 200 });
  expect(await post(`/v1/keys/${old.body.id}/revoke`, "")).toMatchObject({
    status: 200,
    body: { revoked_by: adminId },
  });
  expect(await get("/health", textOf(old))).toMatchObject({ status: 401, body: { code: "key_revoked" } });
  expect(await get("/health", textOf(next))).toMatchObject({ status: 200 });
  expect(await create({})).toMatchObject({ status: 201 });
});

test("a key revoked by another process is refused here after 30 s", async () => {
  const made = await create({});
  expect(await get("/health", textOf(made))).toMatchObject({ status: 200 });
  await revokeElsewhere(api.database, String(made.body.id));
  await clock.advance(FRESH_MS - 1);
  expect(await get("/health", textOf(made))).toMatchObject({ status: 200 });
  await clock.advance(1);
  expect(await get("/health", textOf(made))).toMatchObject({ status: 401, body: { code: "key_revoked" } });
});

describe("POST /v1/keys/{id}/revoke", () => {
  test("changes nothing when asked again", async () => {
    const { body } = await create({});
    const answers = [await post(`/v1/keys/${body.id}/revoke`, ""), await post(`/v1/keys/${body.id}/revoke`, {})];
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(answers[1]?.text).toBe(answers[0]?.text);
  });

  test("answers 404 for a key that is not there, or of another tenant", async () => {
    const theirs = textOf(await create({ tenant: "acme", scopes: ["admin"] }));
    expect(await post("/v1/keys/abcdefghijkm/revoke", "")).toMatchObject({
      status: 404,
      body: { code: "key_not_found" },
    });
    expect(await post(`/v1/keys/${adminId}/revoke`, "", theirs)).toMatchObject({ status: 404 });
    expect(await get("/v1/keys")).toMatchObject({ status: 200 });
  });
});

describe("GET /v1/audit", () => {
  type Entry = { readonly id: number; readonly action: string; readonly target: string; readonly detail: unknown };
  const entries = ({ body }: Answer) => body.entries as Entry[];

  test("tells what was done to tasks and keys, by whom, and nothing of what was refused", async () => {
    const [cancelled, retried, over] = [
      await createTask(api.database),
      await createTask(api.database, { state: "failed" }),
      await createTask(api.database, { state: "succeeded" }),
    ];
    await post(`/v1/tasks/${cancelled}/cancel`, { reason: "not needed" });
    await post(`/v1/tasks/${retried}/retry`, "");
    for (const verb of ["cancel", "retry"])
      expect(await post(`/v1/tasks/${over}/${verb}`, "")).toMatchObject({ status: 409 });
    const { body } = await create({});
    await post(`/v1/keys/${body.id}/revoke`, "");
    const told = entries(await get("/v1/audit"));
    const byAdmin = told.filter((entry) => (entry as unknown as { actor: string }).actor === adminId);
    expect(byAdmin.map(({ action, target }) => [action, target])).toEqual([
      ["key.revoke", body.id],
      ["key.create", body.id],
      ["task.retry", retried],
      ["task.cancel", cancelled],
    ]);
    expect(byAdmin.at(-1)?.detail).toEqual({ was: "queued", reason: "not needed" });
  });

  test("goes on where it stopped", async () => {
    for (let index = 0; index < 5; index++) await post(`/v1/tasks/${await createTask(api.database)}/cancel`, "");
    const all = entries(await get("/v1/audit"));
    const pages: Entry[] = [];
    let url = "/v1/audit?limit=2";
    for (;;) {
      const answer = await get(url);
      pages.push(...entries(answer));
      if (answer.body.next === null) break;
      url = `/v1/audit?limit=2&before=${answer.body.next}`;
    }
    expect(pages).toEqual(all);
    expect(all.length).toBeGreaterThanOrEqual(6);
  });

  test.each(["limit=0", "limit=501", "limit=x", "before=0", "after=3"])("refuses %s", async (query) => {
    expect(await get(`/v1/audit?${query}`)).toMatchObject({ status: 422, body: { code: "request_invalid" } });
  });
});
