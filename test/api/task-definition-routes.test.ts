import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { createClient } from "../../runtime/client/index.ts";
import { defineTask } from "../../runtime/define/index.ts";
import { createRegistry } from "../../runtime/define/registry.ts";
import { defineSystemTask } from "../../runtime/define/task.ts";
import { createKey } from "../access/test-keys.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const resize = defineTask({
  name: "images.resize",
  description: "Makes an image smaller.",
  input: z.strictObject({ key: z.string(), width: z.int().positive().default(100) }),
  queue: "images",
  priority: 5,
  timeoutMs: 60_000,
  retry: { maxAttempts: 7 },
  isolation: "process",
  run: () => null,
});
const command = defineTask({ name: "command", input: z.object({ argv: z.array(z.string()) }), run: () => null });
const internal = defineSystemTask({ name: "taskiq.internal", input: z.unknown(), run: () => null });
/** JSON schema has no words for it. */
const odd = defineTask({ name: "odd", input: z.custom<Date>((value) => value instanceof Date), run: () => null });

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  const registry = createRegistry([resize, command, internal, odd]);
  api = await openTestApi(place, { parts: { access: { auth: "keys", environment: "test" }, registry } });
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

async function definitionsFor(scopes: Parameters<typeof createKey>[1]) {
  const { text: apiKey } = await createKey(api.database, scopes);
  const { text } = await api.get("/v1/task-definitions", { authorization: `Bearer ${apiKey}` });
  return JSON.parse(text).tasks as { readonly name: string }[];
}

test("tells name, defaults and the schema of the input", async () => {
  const { text: apiKey } = await createKey(api.database, { scopes: ["read"] });
  const { port } = await api.listen({ host: "127.0.0.1", port: 0 });
  const [first, second] = await createClient({ baseUrl: `http://127.0.0.1:${port}`, apiKey }).taskDefinitions();
  expect(first).toMatchObject({
    name: "images.resize",
    description: "Makes an image smaller.",
    queue: "images",
    priority: 5,
    timeoutMs: 60_000,
    maxAttempts: 7,
    isolation: "process",
    inputSchema: {
      type: "object",
      properties: { key: { type: "string" }, width: { type: "integer", default: 100 } },
      // What has a default may be left out.
      required: ["key"],
    },
  });
  expect(second).toMatchObject({ name: "odd", description: null, queue: "default", inputSchema: {} });
});

test("the task that runs programs is shown to those who may use it", async () => {
  const names = async (scopes: Parameters<typeof createKey>[1]) =>
    (await definitionsFor(scopes)).map(({ name }) => name);
  expect(await names({ scopes: ["read"] })).toEqual(["images.resize", "odd"]);
  expect(await names({ scopes: ["read", "command"] })).toEqual(["command", "images.resize", "odd"]);
  expect(await names({ scopes: ["admin"] })).toEqual(["command", "images.resize", "odd"]);
});
