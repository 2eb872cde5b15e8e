import { afterAll, beforeAll, expect, test } from "vitest";
import { createClient } from "../../runtime/client/index.ts";
import { createKey } from "../access/test-keys.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const LOGS_URL = "https://logs.example.com/?q={taskId}";

let place: PlaceKept;
let api: TestApi;
let open: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { parts: { access: { auth: "keys", environment: "test" }, logsUrl: LOGS_URL } });
  open = await openTestApi(place);
});
afterAll(async () => {
  await open?.close();
  await api?.close();
  await place?.drop();
});

test("a key learns what it is called, whose it is and what it allows", async () => {
  const { text } = await createKey(api.database, { name: "reports", tenant: "acme", scopes: ["read", "operate"] });
  expect(await api.get("/v1/session", { authorization: `Bearer ${text}` })).toMatchObject({
    status: 200,
    body: {
      auth: "keys",
      name: "reports",
      tenant: "acme",
      scopes: ["read", "operate"],
      home: false,
      version: "1.2.3",
      logs_url: LOGS_URL,
    },
  });
});

test("a key of the operators' tenant is at home", async () => {
  const { text } = await createKey(api.database, { scopes: ["enqueue"] });
  expect((await api.get("/v1/session", { authorization: `Bearer ${text}` })).body).toMatchObject({
    tenant: "default",
    home: true,
  });
});

test("without a key there is no session", async () => {
  expect(await api.get("/v1/session")).toMatchObject({ status: 401, body: { code: "key_missing" } });
});

test("where no key is asked for everybody is at home and may do everything", async () => {
  const { port } = await open.listen({ host: "127.0.0.1", port: 0 });
  expect(await createClient({ baseUrl: `http://127.0.0.1:${port}` }).session()).toEqual({
    auth: "none",
    name: "anonymous",
    tenant: "default",
    scopes: ["enqueue", "read", "operate", "command", "admin"],
    home: true,
    version: "1.2.3",
    logsUrl: null,
  });
});
