/**
 * `npm run bench:api`: how long `POST /v1/tasks` takes at a rate that does not wait for answers. Each request submits one task, and its time counts
 * from when it was due, so that a slow answer does not hide those behind it. API, Postgres and emulator are processes of their own; nobody works.
 *
 * Options: --rate 1000 --seconds 20 --rounds 3
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../runtime/clock.ts";
import { startLocalStack } from "../runtime/local/stack.ts";
import { migrate } from "../runtime/postgres/migrate.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "20" },
    rounds: { type: "string", default: "3" },
  },
});
const [RATE, SECONDS, ROUNDS] = [Number(values.rate), Number(values.seconds), Number(values.rounds)];
const ENTRY = fileURLToPath(new URL("../runtime/main.ts", import.meta.url));
const BODY = JSON.stringify({ task: "sleep", input: { duration_seconds: 1 } });
const WARM_UP_SECONDS = 5;

const stack = await startLocalStack({ keep: false, env: {} });
const env = { ...process.env, ...(stack.env as Record<string, string>) };
await migrate(String(env.DATABASE_URL));
const api = spawn(process.execPath, [ENTRY], {
  env: {
    ...env,
    SERVICE_ROLE: "api",
    TASKIQ_API_AUTH: "none",
    TASKIQ_HTTP_HOST: "127.0.0.1",
    TASKIQ_HTTP_PORT: "0",
    TASKIQ_LOG_FORMAT: "json",
  },
  stdio: ["ignore", "pipe", "inherit"],
});
process.once("exit", () => api.kill("SIGKILL"));
const agent = new Agent({ keepAlive: true, maxSockets: 128 });

try {
  const port = await portOf();
  await load(port, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS; round++) {
    const tookMs = (await load(port, SECONDS)).sort((a, b) => a - b);
    const at = (share: number) => (tookMs[Math.floor(share * (tookMs.length - 1))] ?? Number.NaN).toFixed(1);
    console.log(
      `${tookMs.length} tasks at ${RATE}/s: p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, most ${at(1)} ms`,
    );
  }
} finally {
  agent.destroy();
  api.kill("SIGTERM");
  await once(api, "exit");
  await stack.stop();
}
process.exit(0);

/** How long each request took, in milliseconds. */
async function load(port: number, seconds: number): Promise<number[]> {
  const total = RATE * seconds;
  const startMs = clock.nowMs();
  const dueMs = (index: number) => startMs + (index * 1_000) / RATE;
  const answers: Promise<number>[] = [];
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      while (answers.length < total && dueMs(answers.length) <= clock.nowMs()) {
        answers.push(submit(port, dueMs(answers.length)));
      }
      if (answers.length < total) return;
      clearInterval(timer);
      resolve();
    }, 1);
  });
  return await Promise.all(answers);
}

function submit(port: number, dueMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": BODY.length };
    const sent = request({ agent, host: "127.0.0.1", port, method: "POST", path: "/v1/tasks", headers }, (answer) => {
      answer.resume();
      answer.once("end", () => {
        if (answer.statusCode === 202) resolve(clock.nowMs() - dueMs);
        else reject(new Error(`expected 202, got ${answer.statusCode}`));
      });
    });
    sent.once("error", reject);
    sent.end(BODY);
  });
}

async function portOf(): Promise<number> {
  for await (const text of createInterface({ input: api.stdout })) {
    if (!text.startsWith("{")) continue;
    // Written by runtime/log.ts.
    const line = JSON.parse(text) as { event: string; port?: number };
    if (line.event !== "api.started" || line.port === undefined) continue;
    // A full pipe would stop it.
    api.stdout.resume();
    return line.port;
  }
  throw new Error("expected the API to start, it ended");
}
