import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRevision } from "../../runtime/worker/revision.ts";

let answer: { status: number; body: string } | "silence";
let url: string;
const server = http.createServer((request, response) => {
  if (answer === "silence") return;
  response.writeHead(request.url === "/v4/abc/task" ? answer.status : 404);
  response.end(answer.body);
});

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // An address of a server that listens on a port.
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v4/abc`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

test("the revision stands in the task's metadata, as a text", async () => {
  answer = { status: 200, body: JSON.stringify({ Family: "taskiq-worker", Revision: "17" }) };
  expect(await readRevision(url)).toBe(17);
});

test.each([
  ["no JSON", { status: 200, body: "<html>" }],
  ["no revision", { status: 200, body: "{}" }],
  ["a revision that is no number", { status: 200, body: '{"Revision":"latest"}' }],
  ["nothing at all", "silence"],
] as const)("%s is no revision, and no error", async (_name, given) => {
  answer = given;
  expect(await readRevision(url)).toBeNull();
});

test("outside ECS there is none", async () => {
  expect(await readRevision(null)).toBeNull();
});
