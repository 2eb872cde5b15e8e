/**
 * Follows the logs of a deployment by the AWS command line, of either version. Arguments: the stack (default localstack, on the
 * emulator), and how many minutes to look back (default 10).
 */
import { setTimeout as delay } from "node:timers/promises";
import { isInstalled, read } from "../command.ts";
import { openDemoStack } from "../demo-stack.ts";
import { EMULATOR_URL } from "../emulator.ts";
import { Problem, runTask } from "../problem.ts";
import { openStack } from "../pulumi-cli.ts";

const EMULATOR_ENV = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_DEFAULT_REGION: "us-east-1" };
const EVERY_MS = 2_000;
/** Lines reach CloudWatch late and out of order: each look goes back this far again. */
const OVERLAP_MS = 30_000;
const MINUTE_MS = 60_000;

type LogEvent = { readonly eventId: string; readonly timestamp: number; readonly message: string };

await runTask(async () => {
  const [stackName = "localstack", minutes = "10"] = process.argv.slice(2);
  const sinceMs = Date.now() - Number(minutes) * MINUTE_MS;
  if (!(sinceMs <= Date.now())) throw new Problem(`Expected a number of minutes, got "${minutes}".`);
  if (!(await isInstalled("aws"))) {
    throw new Problem(
      "Missing: the AWS command line. See https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html.",
    );
  }
  const local = stackName === "localstack";
  const stack = local ? await openDemoStack() : await openStack({ stack: stackName });
  if (!(await stack.exists())) throw new Problem(`The stack ${stackName} does not exist: deploy it first.`);
  const { logGroups } = await stack.outputs();
  if (!Array.isArray(logGroups)) throw new Problem(`The stack ${stackName} has no output logGroups: deploy it first.`);
  await Promise.all(logGroups.map((group) => follow(String(group), sinceMs, local)));
});

async function follow(group: string, sinceMs: number, local: boolean): Promise<never> {
  const service = group.split("/").at(-1) ?? group;
  const seen = new Map<string, number>();
  for (let fromMs = sinceMs; ; await delay(EVERY_MS)) {
    for (const { eventId, timestamp, message } of await eventsOf(group, fromMs, local)) {
      if (!seen.has(eventId)) console.log(`${service.padEnd(6)} ${message.trimEnd()}`);
      seen.set(eventId, timestamp);
    }
    fromMs = Math.max(sinceMs, Math.max(sinceMs, ...seen.values()) - OVERLAP_MS);
    for (const [id, timestamp] of seen) if (timestamp < fromMs) seen.delete(id);
  }
}

async function eventsOf(group: string, fromMs: number, local: boolean): Promise<readonly LogEvent[]> {
  const endpoint = local ? ["--endpoint-url", EMULATOR_URL] : [];
  const args = ["logs", "filter-log-events", "--log-group-name", group, "--start-time", String(fromMs)];
  const env = local ? EMULATOR_ENV : {};
  const answer = await read("aws", [...endpoint, ...args, "--output", "json"], { env });
  // The shape is that of FilterLogEvents.
  return (JSON.parse(answer) as { events: LogEvent[] }).events;
}
