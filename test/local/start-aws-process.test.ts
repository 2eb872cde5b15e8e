import { afterAll, expect, test } from "vitest";
import { freePort } from "../../runtime/local/ports.ts";
import { LOCAL_BUCKET, LOCAL_QUEUES } from "../../runtime/local/queues.ts";
import { type AwsProcess, type AwsProcessOptions, startAwsProcess } from "../../runtime/local/start-aws-process.ts";
import { isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";

const started: AwsProcess[] = [];

afterAll(() => Promise.all(started.map((one) => one.stop())));

async function start(options: Partial<AwsProcessOptions> = {}): Promise<AwsProcess> {
  const emulator = await startAwsProcess({
    region: "us-east-1",
    queues: LOCAL_QUEUES,
    buckets: [LOCAL_BUCKET],
    ...options,
  });
  started.push(emulator);
  return emulator;
}

test("runs in a process of its own, on the given port, until it is stopped", async () => {
  const port = await freePort();
  const emulator = await start({ port });
  expect(emulator.endpoint).toBe(`http://127.0.0.1:${port}`);
  expect(emulator.pid).not.toBe(process.pid);
  expect((await fetch(`${emulator.endpoint}/health`)).status).toBe(200);
  await Promise.all([emulator.stop(), emulator.stop()]);
  expect(isAlive(emulator.pid)).toBe(false);
});

test("stops while a long poll is open", async () => {
  const emulator = await start();
  const poll = fetch(emulator.endpoint, {
    method: "POST",
    headers: { "content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.ReceiveMessage" },
    body: JSON.stringify({ QueueUrl: `${emulator.endpoint}/000000000000/taskiq-default`, WaitTimeSeconds: 20 }),
  }).catch(() => "cut off");
  await emulator.stop();
  await poll;
  expect(isAlive(emulator.pid)).toBe(false);
});

test("an emulator that ends by itself is reported, one that was stopped is not", async () => {
  const reports: string[] = [];
  const onLost = (reason: string) => void reports.push(reason);
  const killed = await start({ onLost });
  const stopped = await start({ onLost });
  await stopped.stop();
  process.kill(killed.pid, "SIGKILL");
  await until(() => reports.length > 0, { what: "the killed emulator to be reported" });
  expect(reports).toEqual([expect.stringContaining("SIGKILL")]);
});

test("an error of the emulator is passed on", async () => {
  const dataDir = "/dev/null/not-a-folder";
  await expect(start({ dataDir })).rejects.toMatchObject({
    code: "queue_unavailable",
    message: expect.stringContaining(dataDir),
  });
});
