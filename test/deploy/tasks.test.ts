/** The tasks of a deployment on a machine that lacks what they need. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { demandFreePort } from "../../deploy/emulator.ts";

let bin: string;

beforeAll(async () => {
  bin = await mkdtemp(join(tmpdir(), "taskiq-bin-"));
});
afterAll(() => rm(bin, { recursive: true, force: true }));

/** A machine that has these programs and no others; each is a script of sh. */
async function machineWith(programs: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(bin, "path-"));
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  }
  return folder;
}

function runTask(
  name: string,
  args: readonly string[],
  path: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; said: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [`deploy/tasks/${name}.ts`, ...args], {
      env: { PATH: path, HOME: bin, ...env },
    });
    let said = "";
    child.stdout.on("data", (text) => {
      said += text;
    });
    child.stderr.on("data", (text) => {
      said += text;
    });
    child.on("close", (code) => resolve({ code, said }));
  });
}

describe("a task whose tools are missing", () => {
  it.each([
    ["deploy-demo", []],
    ["remove-demo", []],
    ["stack", ["up"]],
    ["stack", ["down"]],
  ])("%s %s asks for the Pulumi command line", async (name, args) => {
    const { code, said } = await runTask(name, args, await machineWith({}));
    expect(code).toBe(1);
    expect(said).toContain("Missing: the Pulumi command line");
    expect(said).not.toContain("    at ");
  });

  it.each(["deploy-demo", "image"])("%s asks for a container engine", async (name) => {
    const { code, said } = await runTask(name, [], await machineWith({ pulumi: "exit 0" }));
    expect(code).toBe(1);
    expect(said).toContain("Missing: docker or podman");
  });

  it("image says that an engine is there and does not answer, and why", async () => {
    const docker = '[ "$1" = --version ] && exit 0; echo "Cannot connect to the Docker daemon" >&2; exit 1';
    const { code, said } = await runTask("image", [], await machineWith({ docker }));
    expect(code).toBe(1);
    expect(said).toContain("docker does not answer: Cannot connect to the Docker daemon");
  });

  it("image refuses an engine that it does not know", async () => {
    const { code, said } = await runTask("image", [], await machineWith({}), { TASKIQ_CONTAINER_ENGINE: "lxc" });
    expect(code).toBe(1);
    expect(said).toContain('TASKIQ_CONTAINER_ENGINE: expected docker or podman, got "lxc"');
  });

  it("logs asks for the AWS command line", async () => {
    const { code, said } = await runTask("logs", [], await machineWith({ pulumi: "exit 0" }));
    expect(code).toBe(1);
    expect(said).toContain("Missing: the AWS command line");
  });

  it("localstack refuses an argument that it does not know", async () => {
    const path = await machineWith({});
    expect(await runTask("localstack", ["halt"], path)).toMatchObject({
      code: 1,
      said: expect.stringContaining('"halt"'),
    });
  });
});

describe("the emulator", () => {
  it("is not started where something listens already", async () => {
    const server = createServer((socket) => socket.destroy());
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    // A TCP server's address is an object; it is a string only for pipes.
    const { port } = server.address() as AddressInfo;
    try {
      await expect(demandFreePort(port)).rejects.toThrow(
        `Port ${port} is taken already, by something that answers no health check.`,
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
    await demandFreePort(port);
  });
});
