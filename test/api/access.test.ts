/**
 * Every route against every scope, other tenants and keys that are no longer good. The routes are those of the OpenAPI document: a new one fails
 * here until somebody has decided who may use it.
 */
import { text } from "node:stream/consumers";
import { fastify } from "fastify";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeKey } from "../../runtime/access/key.ts";
import { SCOPES, type Scope } from "../../runtime/access/scope.ts";
import { guardRoutes } from "../../runtime/api/access.ts";
import type { App } from "../../runtime/api/app.ts";
import { createExpiredKey, createKey, forged, revokeElsewhere } from "../access/test-keys.ts";
import { ask, createTask, readTasks } from "../support/tasks.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

/** Who may: anybody, whoever has a key, whoever has the scope, or whoever has it in the tenant that runs the deployment. */
type Rule = "open" | "any" | Scope | `${Scope}, home only`;

const RULES: Readonly<Record<string, Rule>> = {
  "get /livez": "open",
  "get /readyz": "open",
  "get /health": "read",
  "get /metrics": "read, home only",
  "post /tasks": "enqueue",
  "get /tasks/{id}": "read",
  "post /v1/tasks": "enqueue",
  "post /v1/tasks/batch": "enqueue",
  "get /v1/tasks": "read",
  "get /v1/tasks/{id}": "read",
  "get /v1/tasks/{id}/events": "read",
  "post /v1/tasks/{id}/cancel": "operate",
  "post /v1/tasks/{id}/retry": "operate",
  "post /v1/tasks/cancel": "operate",
  "post /v1/tasks/retry": "operate",
  "post /v1/schedules": "enqueue",
  "get /v1/schedules": "read",
  "get /v1/schedules/{id}": "read",
  "delete /v1/schedules/{id}": "operate",
  "post /v1/schedules/{id}/pause": "operate",
  "post /v1/schedules/{id}/resume": "operate",
  "post /v1/schedules/{id}/trigger": "enqueue",
  "get /v1/jobs": "read",
  "get /v1/jobs/{name}": "read",
  "get /v1/graph-schema.json": "read",
  "post /v1/runs": "enqueue",
  "get /v1/runs": "read",
  "get /v1/runs/{id}": "read",
  "get /v1/runs/{id}/steps": "read",
  "get /v1/runs/{id}/graph": "read",
  "get /v1/runs/{id}/events": "read",
  "post /v1/runs/{id}/cancel": "operate",
  "post /v1/runs/{id}/resume": "operate",
  "post /v1/runs/{id}/reexecute": "operate",
  "get /v1/queues": "read",
  "get /v1/queues/{name}": "read",
  "post /v1/queues/{name}/pause": "operate, home only",
  "post /v1/queues/{name}/resume": "operate, home only",
  "post /v1/queues/{name}/redrive": "operate",
  "get /v1/workers": "read, home only",
  "get /v1/workers/{name}": "read, home only",
  "get /v1/session": "any",
  "get /v1/overview": "read",
  "get /v1/live": "read",
  "get /v1/task-definitions": "read",
  "get /v1/keys": "admin",
  "post /v1/keys": "admin",
  "post /v1/keys/{id}/revoke": "admin",
  "get /v1/audit": "admin",
};

/** Ids that nothing has. */
const NOBODY: Readonly<Record<string, string>> = { id: "0198f3c0-0000-7000-8000-000000000000", name: "nobody" };

type Operation = { readonly security?: readonly Readonly<Record<string, readonly string[]>>[] };
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> };
type Route = { readonly name: string; readonly method: "GET"; readonly url: string; readonly rule: Rule };
type Outcome = { readonly status: number; readonly code: unknown; readonly challenge: unknown; readonly text: string };

let place: PlaceKept;
let api: TestApi;
let document: Document;
/** A key of the tenant `default` for each scope alone. */
const keyOf = new Map<Scope, string>();
let everything = "";
let theirs = "";

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { parts: { access: { auth: "keys", environment: "test" } } });
  document = JSON.parse((await api.get("/openapi.json")).text);
  for (const scope of SCOPES) keyOf.set(scope, (await createKey(api.database, { scopes: [scope] })).text);
  everything = (await createKey(api.database, { scopes: SCOPES })).text;
  theirs = (await createKey(api.database, { scopes: SCOPES, tenant: "theirs" })).text;
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

function documented(): string[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  );
}

function routes(params = NOBODY): Route[] {
  return documented().map((name) => {
    const [method = "", path = ""] = name.split(" ");
    const url = path.replace(/\{(\w+)\}/g, (_, param: string) => params[param] ?? "");
    // The methods that there are; the test above sees to the rule.
    return { name, method: method.toUpperCase() as "GET", url, rule: RULES[name] as Rule };
  });
}

/** Asks without a body: what is let in is refused for that, or finds nothing. */
async function request({ method, url }: Pick<Route, "method" | "url">, authorization?: string): Promise<Outcome> {
  const headers = authorization === undefined ? {} : { authorization };
  const response = await api.inject({ method, url, headers, payloadAsStream: true });
  const isStream = String(response.headers["content-type"]).startsWith("text/event-stream");
  // It would go on until it is left.
  if (isStream) response.stream().destroy();
  const body = isStream ? "" : await text(response.stream());
  const isProblem = String(response.headers["content-type"]).includes("problem+json");
  return {
    status: response.statusCode,
    code: isProblem ? JSON.parse(body).code : null,
    challenge: response.headers["www-authenticate"],
    text: body,
  };
}

const withKey = (route: Pick<Route, "method" | "url">, key: string) => request(route, `Bearer ${key}`);
const scopeOf = (rule: Rule) => rule.split(",")[0] as Scope | "open" | "any";
const isIn = ({ status }: Outcome) => status !== 401 && status !== 403;

test("every route of the document is classified here, and nothing else is", () => {
  expect(documented().sort()).toEqual(Object.keys(RULES).sort());
});

test("the document says of each route what a key has to allow", () => {
  for (const { name, rule } of routes()) {
    const [method = "", path = ""] = name.split(" ");
    const { security } = document.paths[path]?.[method] ?? {};
    expect(security, name).toEqual(rule === "open" ? undefined : [{ key: rule === "any" ? [] : [scopeOf(rule)] }]);
  }
});

test("what is open is open without a key", async () => {
  for (const route of routes().filter(({ rule }) => rule === "open")) {
    expect(await request(route), route.name).toMatchObject({ status: 200 });
  }
  for (const url of ["/openapi.json", "/docs", "/docs/", "/docs/json"]) {
    expect(await request({ method: "GET", url }), url).toMatchObject({ status: 200 });
  }
});

describe("without a good key every other route answers 401, whatever else is wrong", () => {
  type Header = () => string | undefined | Promise<string>;
  const headers: [string, Header, string][] = [
    ["no header", () => undefined, "key_missing"],
    ["another scheme", () => `Basic ${btoa("user:password")}`, "key_invalid"],
    ["no key behind the scheme", () => "Bearer ", "key_invalid"],
    ["the key without its scheme", () => everything, "key_invalid"],
    ["something that is no key", () => "Bearer nonsense", "key_invalid"],
    ["two keys", () => `Bearer ${everything} ${everything}`, "key_invalid"],
    ["a very long text", () => `Bearer ${"a".repeat(5_000)}`, "key_invalid"],
    ["a key that nobody made", () => `Bearer ${makeKey("test").text}`, "key_invalid"],
    ["a key with the id of another", () => `Bearer ${forged(everything.split("_")[2] ?? "")}`, "key_invalid"],
    ["a key that has expired", async () => `Bearer ${(await createExpiredKey(api.database)).text}`, "key_expired"],
    ["a key that was revoked", revoked, "key_revoked"],
  ];

  test.each(headers)("%s", async (_name, header, code) => {
    const authorization = await header();
    const challenge = `Bearer realm="taskiq-aws"${code === "key_missing" ? "" : ', error="invalid_token"'}`;
    for (const route of routes().filter(({ rule }) => rule !== "open")) {
      expect(await request(route, authorization), route.name).toMatchObject({ status: 401, code, challenge });
    }
  });

  test("nor does a key in the query or in another header help", async () => {
    const { statusCode } = await api.inject({
      method: "GET",
      url: `/v1/keys?key=${everything}&access_token=${everything}`,
      headers: { "x-api-key": everything, cookie: `key=${everything}` },
    });
    expect(statusCode).toBe(401);
  });

  test("HEAD is no way around", async () => {
    const head = async (authorization?: string) =>
      (await api.inject({ method: "HEAD", url: "/v1/keys", ...(authorization && { headers: { authorization } }) }))
        .statusCode;
    expect([await head(), await head(`Bearer ${keyOf.get("read")}`), await head(`Bearer ${everything}`)]).toEqual([
      401, 403, 200,
    ]);
  });

  async function revoked(): Promise<string> {
    const key = await createKey(api.database);
    await revokeElsewhere(api.database, key.id);
    return `Bearer ${key.text}`;
  }
});

describe("every route × every scope", () => {
  test.each(SCOPES)("a key with the scope %s alone is let in where that is enough, and nowhere else", async (scope) => {
    for (const route of routes()) {
      const needed = scopeOf(route.rule);
      const outcome = await withKey(route, keyOf.get(scope) ?? "");
      const isEnough = needed === "open" || needed === "any" || scope === needed || scope === "admin";
      expect(isIn(outcome), `${route.name}: ${outcome.status} ${outcome.code}`).toBe(isEnough);
      if (isEnough) continue;
      expect(outcome).toMatchObject({
        status: 403,
        code: "scope_missing",
        challenge: `Bearer realm="taskiq-aws", error="insufficient_scope", scope="${needed}"`,
      });
    }
  });

  test("the scheme is read without case", async () => {
    for (const scheme of ["bearer", "BEARER", "Bearer "]) {
      expect(await request({ method: "GET", url: "/v1/keys" }, `${scheme} ${everything}`)).toMatchObject({
        status: 200,
      });
    }
  });

  test("a command takes the scope `command` beside `enqueue`, alone and among others", async () => {
    const both = (await createKey(api.database, { scopes: ["enqueue", "command"] })).text;
    const post = (url: string, body: object, key = "") => api.post(url, body, { authorization: `Bearer ${key}` });
    const command = { task: "command", input: { argv: ["true"] } };
    for (const [url, body] of [
      ["/v1/tasks", command],
      ["/v1/tasks/batch", { tasks: [{ task: "echo" }, command] }],
    ] as const) {
      const refusal = await post(url, body, keyOf.get("enqueue"));
      expect(refusal).toMatchObject({ status: 403, body: { code: "scope_missing" } });
      // No task of this name is defined here, which only whoever may submit it learns.
      for (const key of [both, everything]) {
        expect(await post(url, body, key)).toMatchObject({ status: 422, body: { code: "unknown_task" } });
      }
    }
    expect(await readTasks(api.database)).toEqual([]);
    for (const graph of [
      {
        steps: [
          { key: "a", task: "echo" },
          { key: "b", ...command },
        ],
      },
      { steps: [{ key: "a", task: "echo" }], on_finished: { task: "command" } },
    ]) {
      const refusal = await post("/v1/runs", { graph }, keyOf.get("enqueue"));
      expect(refusal).toMatchObject({ status: 403, body: { code: "scope_missing" } });
    }
  });
});

describe("another tenant", () => {
  test("is not let in where all tenants are concerned, whatever its key allows", async () => {
    for (const route of routes()) {
      const outcome = await withKey(route, theirs);
      if (route.rule.endsWith("home only")) expect(outcome).toMatchObject({ status: 403, code: "home_only" });
      else expect(isIn(outcome), `${route.name}: ${outcome.status} ${outcome.code}`).toBe(true);
    }
  });

  test.each([
    ["default", "theirs"],
    ["theirs", "default"],
  ])(
    "%s learns nothing of the tasks of %s, and changes nothing: 404, as if they were not there",
    async (asker, owner) => {
      const key = asker === "theirs" ? theirs : everything;
      for (const state of ["queued", "running", "failed"] as const) {
        const id = await createTask(api.database, { tenant: owner, state });
        const ofTasks = routes({ id }).filter(({ name }) => /\/tasks\/\{id\}/.test(name));
        expect(ofTasks.length).toBeGreaterThanOrEqual(4);
        for (const route of ofTasks) {
          const outcome = await withKey(route, key);
          expect(outcome, route.name).toMatchObject({ status: 404, code: "task_not_found" });
          const nobody = await withKey({ ...route, url: route.url.replace(id, NOBODY.id ?? "") }, key);
          expect(outcome.text.replaceAll(id, "").replace(/"instance":.*/, "")).toBe(
            nobody.text.replaceAll(NOBODY.id ?? "", "").replace(/"instance":.*/, ""),
          );
        }
        const rows = (await readTasks(api.database)).filter((row) => row.id === id);
        expect(rows).toMatchObject([{ state, cancel_requested: false }]);
      }
    },
  );

  test("learns nothing of the schedules and keys of the first, and changes none", async () => {
    const task = { task: "echo", input: "mine" };
    const schedule = { name: "nightly", cron: "0 3 * * *", ...task };
    const made = await api.post("/v1/schedules", schedule, { authorization: `Bearer ${everything}` });
    expect(made, made.text).toMatchObject({ status: 201 });
    const [, scheduleId = ""] = /^\/v1\/schedules\/(.+)$/.exec(String(made.headers.location)) ?? [];
    const key = await createKey(api.database);
    const before = (await request({ method: "GET", url: `/v1/schedules/${scheduleId}` }, `Bearer ${everything}`)).text;
    for (const [pattern, id, code] of [
      [/\/schedules\/\{id\}/, scheduleId, "schedule_not_found"],
      [/\/keys\/\{id\}/, key.id, "key_not_found"],
    ] as const) {
      const some = routes({ id }).filter(({ name }) => pattern.test(name));
      expect(some.length).toBeGreaterThanOrEqual(1);
      for (const route of some) expect(await withKey(route, theirs), route.name).toMatchObject({ status: 404, code });
    }
    expect((await request({ method: "GET", url: `/v1/schedules/${scheduleId}` }, `Bearer ${everything}`)).text).toBe(
      before,
    );
    expect(await withKey({ method: "GET", url: "/health" }, key.text)).toMatchObject({ status: 200 });
  });

  test("is in no list: tasks, schedules, keys and audit of one are not told to the other", async () => {
    const marker = "marked";
    const ids = [await createTask(api.database, { name: marker, labels: `{"of":"${marker}"}` })];
    ids.push((await createKey(api.database, { name: marker, scopes: ["read"] })).id);
    await ask(
      api.database,
      "insert into taskiq.audit (actor, tenant, action, target) values ('x', 'default', 'task.cancel', 'marked')",
    );
    const lists = routes().filter(({ name }) => /^get \/v1\/[a-z]+$/.test(name));
    expect(lists.length).toBeGreaterThanOrEqual(2);
    let told = 0;
    for (const route of lists) {
      if ((await withKey(route, everything)).text.includes(marker)) told++;
      const { text } = await withKey(route, theirs);
      for (const hidden of [marker, ...ids]) expect(text, route.name).not.toContain(hidden);
    }
    // What is hidden from one was there to be seen.
    expect(told).toBeGreaterThanOrEqual(2);
  });

  test("has idempotency keys and tasks of its own", async () => {
    const headers = (key: string) => ({ authorization: `Bearer ${key}`, "idempotency-key": "same" });
    const first = await api.post("/v1/tasks", { task: "echo" }, headers(everything));
    const second = await api.post("/v1/tasks", { task: "echo" }, headers(theirs));
    const third = await api.post("/v1/tasks", { task: "echo" }, headers(theirs));
    expect([first, second, third].map(({ status }) => status)).toEqual([202, 202, 202]);
    expect(second.body.task_id).not.toBe(first.body.task_id);
    expect(third.body.task_id).toBe(second.body.task_id);
    const rows = new Map((await readTasks(api.database)).map(({ id, tenant }) => [id, tenant]));
    expect([rows.get(first.body.task_id), rows.get(second.body.task_id)]).toEqual(["default", "theirs"]);
  });
});

test("a path that is not there is 404, and a method 405, with or without a key", async () => {
  for (const authorization of [undefined, "Bearer nonsense", `Bearer ${everything}`]) {
    expect(await request({ method: "GET", url: "/v1/nothing" }, authorization)).toMatchObject({ status: 404 });
    const wrong = await api.inject({
      method: "PUT",
      url: "/v1/tasks",
      headers: authorization ? { authorization } : {},
    });
    expect(wrong.statusCode).toBe(405);
  }
});

test("a key stands in no line of the log, and in no refusal", async () => {
  const broken = await openTestApi(place, {
    databaseUrl: "postgres://nobody@127.0.0.1:1/none",
    parts: { access: { auth: "keys", environment: "test" } },
  });
  try {
    const key = makeKey("test").text;
    const headers = { authorization: `Bearer ${key}` };
    const answers = [await broken.get("/v1/keys", headers), await api.get("/v1/keys", headers)];
    expect(answers.map(({ status }) => status)).toEqual([503, 401]);
    expect(broken.lines.join("")).toContain("request.failed");
    for (const text of [...broken.lines, ...api.lines, ...answers.map((one) => one.text)]) {
      expect(text).not.toContain(key.slice(-49, -6));
    }
  } finally {
    await broken.close();
  }
});

test("names of tasks are not told to everybody", async () => {
  expect(JSON.stringify(document)).not.toContain("recursive");
});

describe("a route without a scope", () => {
  test("does not start the server", () => {
    const app = fastify() as unknown as App;
    guardRoutes(app, null);
    const handler = () => "hello";
    expect(() => app.get("/v1/new", handler)).toThrow("GET /v1/new: expected config.scope, got none");
    app.get("/v1/open", { config: { scope: null } }, handler);
    app.get("/v1/guarded", { config: { scope: "read" } }, handler);
  });
});
