import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { freePort, keptPorts, untilPortIsFree } from "../../runtime/local/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "taskiq-aws-ports-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function listen(port: number): Promise<{ close(): void }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

test("kept ports are the same at every start", async () => {
  const file = join(folder, "same.json");
  const ports = await keptPorts(file);
  expect(await keptPorts(file)).toEqual(ports);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(ports);
});

test("another stack does not get a port that is in use", async () => {
  const ports = await keptPorts(join(folder, "one.json"));
  const server = await listen(ports.postgres);
  const others = await keptPorts(join(folder, "other.json"));
  expect(others.postgres).not.toBe(ports.postgres);
  server.close();
});

test("ports that cannot be read are chosen again", async () => {
  const file = join(folder, "broken.json");
  writeFileSync(file, '{"postgres": 15');
  const ports = await keptPorts(file);
  expect(await keptPorts(file)).toEqual(ports);
});

test("a port that is being given up is waited for", async () => {
  const port = await freePort();
  const server = await listen(port);
  const waiting = untilPortIsFree(port, 10_000);
  server.close();
  await waiting;
});

test("a port that stays in use is an error that names it", async () => {
  const port = await freePort();
  const server = await listen(port);
  await expect(untilPortIsFree(port, 100)).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining(`port ${port}`),
  });
  server.close();
});
