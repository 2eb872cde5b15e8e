/**
 * The emulator that enforces IAM, for the whole run. Nothing here knows which one it is or where it lives:
 *
 *   TASKIQ_EMULATOR_COMMAND  starts it and returns; it gets AUTH=true. Not run where something answers already
 *   TASKIQ_EMULATOR_URL      where it answers. Default http://127.0.0.1:4566
 *
 * It must know the key test/test as one that may do everything, as MiniStack does, and refuse a key that nobody made: else
 * nothing would be tested. What was started keeps running.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import { until } from "../support/until.ts";
import { openIam } from "./iam-client.ts";

declare module "vitest" {
  interface ProvidedContext {
    emulatorUrl: string;
  }
}

export const ROOT = { accessKeyId: "test", secretAccessKey: "test" };

const START_MS = 120_000;

export default async function setup(project: TestProject): Promise<void> {
  const { TASKIQ_EMULATOR_COMMAND: command = "", TASKIQ_EMULATOR_URL: url = "http://127.0.0.1:4566" } = process.env;
  // The roles are started with this environment, and refuse variables of that prefix that they do not know.
  delete process.env.TASKIQ_EMULATOR_COMMAND;
  delete process.env.TASKIQ_EMULATOR_URL;
  if (!(await answers(url))) {
    if (command === "") {
      throw new Error(
        `expected an emulator that enforces IAM at ${url}, nothing answers there. ` +
          "Start one, or set TASKIQ_EMULATOR_COMMAND to a command that does, and TASKIQ_EMULATOR_URL to where it listens.",
      );
    }
    await promisify(execFile)("sh", ["-c", command], { env: { ...process.env, AUTH: "true" } });
    await until(() => answers(url), { deadlineMs: START_MS, what: `the emulator at ${url}` });
  }
  await openIam(url, ROOT).call("ListUsers", {});
  const nobody = openIam(url, { accessKeyId: "AKIANOBODY0000000000", secretAccessKey: "nothing" });
  const refused = await nobody.call("ListUsers", {}).then(
    () => false,
    () => true,
  );
  if (!refused) {
    throw new Error(
      `expected the emulator at ${url} to refuse an unknown key, it took one. Start it so that it enforces IAM.`,
    );
  }
  project.provide("emulatorUrl", url);
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    () => true,
    () => false,
  );
}
