import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPasswordSecret } from "../../runtime/secrets/secrets-manager.ts";

const ARN = "arn:aws:secretsmanager:us-east-1:111122223333:secret:taskiq-AbCdEf";
type Answer = { readonly status: number; readonly body: object } | "silence";

let answer: Answer;
const asked: { target: unknown; body: string }[] = [];
let endpoint: string;
const server = http.createServer(async (request, response) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  asked.push({ target: request.headers["x-amz-target"], body: Buffer.concat(chunks).toString() });
  if (answer === "silence") return;
  response.writeHead(answer.status, { "content-type": "application/x-amz-json-1.1" });
  response.end(JSON.stringify(answer.body));
});

beforeAll(async () => {
  process.env.AWS_ACCESS_KEY_ID ??= "test";
  process.env.AWS_SECRET_ACCESS_KEY ??= "test";
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // An address of a server that listens on a port.
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const read = () => openPasswordSecret({ region: "us-east-1", endpoint, arn: ARN, requestTimeoutMs: 200 })();
const secret = (text: string): Answer => ({ status: 200, body: { ARN, SecretString: text } });

test("the password is read out of the secret, by its ARN", async () => {
  answer = secret('{"username":"taskiq","password":"p@ss#w/rd"}');
  expect(await read()).toBe("p@ss#w/rd");
  expect(asked.at(-1)).toEqual({
    target: "secretsmanager.GetSecretValue",
    body: JSON.stringify({ SecretId: ARN }),
  });
});

test.each([
  ["is no JSON", secret("p@ss")],
  ["has no password", secret('{"username":"taskiq"}')],
  ["has an empty password", secret('{"password":""}')],
  ["has no text", { status: 200, body: { ARN } }],
] as const)("a secret that %s is told apart, and not shown", async (_name, given) => {
  answer = given;
  const error = await read().catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: "database_unavailable",
    message: expect.stringContaining("to be a JSON object"),
  });
  expect(String(error)).not.toContain("p@ss");
});

test.each([
  [
    "denied",
    { status: 400, body: { __type: "AccessDeniedException", message: "not authorized" } },
    "AccessDeniedException: not authorized",
  ],
  ["not answered", "silence", "TimeoutError"],
] as const)("a request that is %s is a database that is away, with what to check", async (_name, given, reason) => {
  answer = given;
  const error = await read().catch((cause: unknown) => cause);
  expect(error).toMatchObject({ code: "database_unavailable" });
  expect(String(error)).toContain(reason);
  expect(String(error)).toContain("permission secretsmanager:GetSecretValue");
});
