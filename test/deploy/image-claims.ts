/** What the image promises: its size, its user, and a start within two seconds as restricted as a task runs it. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { read } from "../../deploy/command.ts";
import type { ContainerEngine } from "../../deploy/container-engine.ts";
import { imageSizes, REPOSITORY } from "../../deploy/image.ts";
import { waitFor } from "../../deploy/wait.ts";
import { startLocalStack } from "../../runtime/local/stack.ts";
import { BASE, FIRST } from "./built-images.ts";
import { expect, expectEqual, type Steps } from "./steps.ts";

const MAX_BYTES_OVER_BASE = 250e6;
const MAX_START_MS = 2_000;
const PORT = 18_080;

/** As a task definition asks: with nothing but Node, as there is nothing else to ask with. */
const HEALTH_CHECK = `require("node:http").get("http://127.0.0.1:${PORT}/livez", ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))`;

/** As a task definition restricts it. */
const RESTRICTED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];

export async function imageClaims(engine: ContainerEngine, { step }: Steps): Promise<void> {
  const { program } = engine;

  await step("the image is under 250 MB on top of its base", async () => {
    const { image, base } = await imageSizes(engine, FIRST, BASE);
    expect(image - base < MAX_BYTES_OVER_BASE, `expected less than 250 MB, got ${megabytes(image - base)}`);
    return `${megabytes(image)}, of which the base is ${megabytes(base)}`;
  });

  await step("the image's user is a number and not root, and no shell starts it", async () => {
    const format = "{{json .Config.User}} {{json .Config.Entrypoint}} {{json .Config.Cmd}}";
    const found = await read(program, ["image", "inspect", "--format", format, FIRST]);
    expectEqual(found, '"65532:65532" ["node"] ["runtime/main.ts"]', "user, entry point and command");
    return undefined;
  });

  await step("the image holds the certificate authorities of RDS, and no development dependency", async () => {
    const script = `
      const { existsSync, readFileSync } = require("node:fs");
      require("node:tls").createSecureContext({ ca: readFileSync("/app/rds-global-bundle.pem") });
      const found = ${JSON.stringify(await developmentPackages())}.filter((path) => existsSync("/app/" + path));
      console.log(JSON.stringify(found));`;
    const found = await read(program, ["run", "--rm", ...RESTRICTED, FIRST, "--eval", script]);
    expectEqual(found, "[]", "development dependencies");
    return undefined;
  });

  await step(
    "a restricted container answers within 2 s of its start, shows the dashboard, and its health check agrees",
    async () => {
      const local = await startLocalStack({ keep: false, env: {} });
      let id = "";
      try {
        const env = { ...local.env, SERVICE_ROLE: "all", TASKIQ_HTTP_PORT: String(PORT), TASKIQ_PROBE_PORT: "18081" };
        const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
        const startedMs = performance.now();
        // The parts it needs listen on this machine's own address.
        id = await read(program, ["run", "--detach", "--network", "host", ...RESTRICTED, ...variables, FIRST]);
        const ready = async () => ((await fetch(`http://127.0.0.1:${PORT}/readyz`)).ok ? true : undefined);
        await waitFor("the container to be ready", 20_000, ready, 20);
        const tookMs = performance.now() - startedMs;
        await read(program, ["exec", id, "node", "--eval", HEALTH_CHECK]);
        await dashboardAnswers(`http://127.0.0.1:${PORT}`);
        expect(tookMs < MAX_START_MS, `expected less than ${MAX_START_MS} ms, got ${Math.round(tookMs)} ms`);
        return `${Math.round(tookMs)} ms, with a migration of an empty database`;
      } finally {
        if (id !== "") await read(program, ["rm", "--force", id]);
        await local.stop();
      }
    },
  );
}

/** The page, and the script that it loads. */
async function dashboardAnswers(url: string): Promise<void> {
  const page = await fetch(`${url}/`);
  const text = await page.text();
  expectEqual(page.status, 200, "the status of the dashboard");
  const [, script = ""] = /<script[^>]* src="\.(\/assets\/[^"]+\.js)"/.exec(text) ?? [];
  expect(script !== "", `expected a page that loads a script, got ${text.slice(0, 200)}`);
  const { status, headers } = await fetch(`${url}${script}`, { headers: { "accept-encoding": "br" } });
  expectEqual(`${status} ${headers.get("content-encoding")}`, "200 br", "the status and the encoding of its script");
}

/** Paths of the packages that the lock file has for development only. */
async function developmentPackages(): Promise<readonly string[]> {
  // The shape is npm's own.
  const lock = JSON.parse(await readFile(join(REPOSITORY, "package-lock.json"), "utf8")) as {
    packages: Record<string, { dev?: boolean }>;
  };
  return Object.entries(lock.packages).flatMap(([path, { dev }]) => (dev === true ? [path] : []));
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
