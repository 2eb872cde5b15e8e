/** A run of a deployment, from its start to its end, through connections that are cut again and again. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Client, createClient, type RunEvent } from "../../runtime/client/index.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { type Deployment, startDeployment } from "./deployment.ts";

let deployment: Deployment;
let proxy: TcpProxy;
let client: Client;

beforeAll(async () => {
  deployment = await startDeployment();
  proxy = await startTcpProxy({ host: "127.0.0.1", port: Number(new URL(deployment.url).port) });
  client = createClient({ baseUrl: `http://127.0.0.1:${proxy.port}` });
});
afterAll(async () => {
  await proxy?.close();
  await deployment?.stop();
});

test.each(["orchestrated", "simple"] as const)(
  "mode %s: every event comes once, and the result is right",
  async (mode) => {
    const { runId } = await client.runs.start({ job: "etl", input: { files: 30, rows: 10 }, mode });
    const steps: Extract<RunEvent, { kind: "step" }>[] = [];
    for await (const event of client.runs.watch(runId)) {
      if (event.kind !== "step") continue;
      steps.push(event);
      if (steps.length % 15 === 1) proxy.cut();
    }
    const whole = mode === "simple" ? ["*"] : [];
    const keys = [
      ...whole,
      "extract",
      "parse",
      "load",
      "report",
      ...Array.from({ length: 30 }, (_, at) => `parse[${at}]`),
    ];
    expect(steps.map(({ key, change }) => `${key} ${change}`).toSorted()).toEqual(
      keys.flatMap((key) => [`${key} end`, `${key} start`]).toSorted(),
    );
    const run = await client.runs.wait(runId);
    expect(run).toMatchObject({ mode, state: "succeeded", health: "finished", counts: { succeeded: 34, failed: 0 } });
    expect(run.result).toMatchObject({ total: { files: 30, rows: 300 } });
    expect(run.steps.map(({ key, state }) => `${key} ${state}`)).toEqual(
      ["extract", "parse", "load", "report"].map((key) => `${key} succeeded`),
    );
    expect(run.steps[1]?.elements).toMatchObject({ total: 30, succeeded: 30 });
  },
);
