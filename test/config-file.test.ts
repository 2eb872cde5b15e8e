import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadConfig, type ServiceConfig } from "../runtime/config.ts";
import { TaskiqError } from "../runtime/errors.ts";

const MINIMAL = `
DATABASE_URL: postgres://u:hunter2@localhost:5432/taskiq
TASKIQ_S3_BUCKET: payloads
TASKIQ_QUEUES:
  - name: default
    url: http://localhost:4566/0/default
    deadLetterUrl: http://localhost:4566/0/dead
`;

let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "taskiq-config-"));
  path = join(folder, "taskiq.yaml");
});

afterAll(() => rmSync(folder, { recursive: true }));

type Env = Record<string, string | undefined>;

function service(yaml: string, env: Env = {}): ServiceConfig {
  writeFileSync(path, yaml);
  const config = loadConfig({ TASKIQ_CONFIG: path, ...env });
  if (config.role === "migrate") throw new Error("expected a role other than migrate");
  return config;
}

function problems(yaml: string, env: Env = {}): readonly string[] {
  try {
    service(yaml, env);
  } catch (error) {
    if (error instanceof TaskiqError && error.code === "config_invalid" && Array.isArray(error.details)) {
      return error.details;
    }
    throw error;
  }
  return [];
}

describe("a file of settings", () => {
  it("is a whole configuration, with queues and lists as YAML has them", () => {
    const config = service(`${MINIMAL}
SERVICE_ROLE: worker
TASKIQ_WORKER_SLOTS: 20
TASKIQ_TASK_MODULES: [./a.ts, ./b.ts]
TASKIQ_DEMO: off
TASKIQ_LOG:
`);
    expect(config).toMatchObject({
      role: "worker",
      database: { url: "postgres://u:hunter2@localhost:5432/taskiq" },
      worker: { slots: 20, queues: ["default"] },
      tasks: { modules: ["./a.ts", "./b.ts"] },
      http: { demo: false },
      log: { tasks: false },
      payload: { bucket: "payloads" },
    });
  });

  it("gives way to the environment, under an alias too, but not to what is empty there", () => {
    const yaml = `${MINIMAL}\nTASKIQ_WORKER_SLOTS: 20\nAWS_REGION: eu-west-1\nTASKIQ_LEASE_MS: 40000`;
    const config = service(yaml, { TASKIQ_WORKER_SLOTS: "5", AWS_DEFAULT_REGION: "eu-north-1", TASKIQ_LEASE_MS: " " });
    expect(config).toMatchObject({ worker: { slots: 5, leaseMs: 40_000 }, aws: { region: "eu-north-1" } });
  });

  it("serves a migration as well", () => {
    writeFileSync(path, `${MINIMAL}\nSERVICE_ROLE: migrate`);
    expect(loadConfig({ TASKIQ_CONFIG: path })).toMatchObject({ role: "migrate", database: { pool: 10 } });
  });

  it("may be empty", () => {
    expect(problems("")).toHaveLength(3);
    expect(problems("# nothing\n---\n")).toHaveLength(3);
  });
});

describe("a mistake in the file", () => {
  it("is told with the file, the line and the name", () => {
    expect(problems(`${MINIMAL}TASKIQ_LEASE_MS: 30s\n`)).toEqual([
      'TASKIQ_LEASE_MS (taskiq.yaml, line 8): expected an integer from 2000 to 600000, got "30s". Use milliseconds, for example 30000.',
    ]);
    expect(problems(MINIMAL.replace("/0/dead", "/0/default"))).toEqual([
      expect.stringContaining("TASKIQ_QUEUES[0].deadLetterUrl (taskiq.yaml, line 4): expected a queue that no worker"),
    ]);
    expect(problems(`${MINIMAL}DAGSTER_S3_BUCKET: b\nAWS_DEFAULT_REGION: "no region"`)).toEqual([
      expect.stringContaining(
        "AWS_REGION (taskiq.yaml, line 9, AWS_DEFAULT_REGION): expected the name of an AWS region",
      ),
    ]);
  });

  it("is told beside a mistake in the environment, which has no file", () => {
    expect(
      problems(`${MINIMAL}TASKIQ_LEASE_MS: 1`, { TASKIQ_WORKER_SLOTS: "0" }).map((line) => line.split(":")[0]),
    ).toEqual(["TASKIQ_WORKER_SLOTS", "TASKIQ_LEASE_MS (taskiq.yaml, line 8)"]);
  });

  it("in a name is told with the nearest, whatever it starts with", () => {
    expect(problems(`${MINIMAL}TASKIQ_LEASE: 1\nSERVICE_ROL: api\nslots: 3`)).toEqual([
      "TASKIQ_LEASE (taskiq.yaml, line 8): there is no such variable. Did you mean TASKIQ_LEASE_MS?",
      "SERVICE_ROL (taskiq.yaml, line 9): there is no such variable. Did you mean SERVICE_ROLE?",
      "slots (taskiq.yaml, line 10): there is no such variable. Remove it; .env.example lists them all.",
    ]);
  });

  it.each([
    [
      "a setting of the command line",
      "TASKIQ_URL: http://h",
      "TASKIQ_URL (taskiq.yaml, line 8): expected it in the environment",
    ],
    [
      "another file",
      "TASKIQ_CONFIG: other.yaml",
      "TASKIQ_CONFIG (taskiq.yaml, line 8): a file cannot name another one",
    ],
    ["a name twice", "TASKIQ_S3_BUCKET: again", "TASKIQ_CONFIG: expected a YAML file of settings by their names, got "],
    ["an object where a number belongs", "TASKIQ_LEASE_MS: {ms: 3}", 'got "{\\"ms\\":3}"'],
    ["a word that YAML takes for a truth", "TASKIQ_DEMO: false", 'expected one of on, off, got "false"'],
  ])("is %s", (_name, line, expected) => {
    const lines = problems(`${MINIMAL}${line}\n`);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(expected);
  });

  it.each([
    ["no YAML", "a: [1", "line 1: "],
    ["a list", "- a\n- b", "a file without names"],
    ["a text", "text", "a file without names"],
  ])("of its shape is told: %s", (_name, yaml, expected) => {
    const lines = problems(yaml);
    expect(lines).toEqual([expect.stringContaining(`got ${path}: ${expected}`)]);
    expect(lines[0]).toMatch(/Correct the file or its path\.$/);
  });

  it("shows no secret", () => {
    const all = problems(`DATABASE_URL: mysql://u:hunter2@h/d\nTASKIQ_API_KEY: hunter2`).join("\n");
    expect(all).toContain("DATABASE_URL (taskiq.yaml, line 1): expected a URL that starts with postgres://");
    expect(all).not.toContain("hunter");
    expect(problems(`DATABASE_URL: "postgres://u:hunter2@h/d\nx: [`).join()).not.toContain("hunter");
  });

  it("is that it cannot be read", () => {
    expect(() => loadConfig({ TASKIQ_CONFIG: join(folder, "absent.yaml") })).toThrow(
      /^TASKIQ_CONFIG: expected a YAML file .*absent\.yaml: ENOENT/,
    );
  });
});

it("is hidden by an override that takes a name out", () => {
  writeFileSync(path, `${MINIMAL}TASKIQ_LEASE_MS: 30s\nTASKIQ_LEASE: 1\n`);
  const config = loadConfig({ TASKIQ_CONFIG: path, TASKIQ_LEASE_MS: undefined, TASKIQ_LEASE: undefined });
  expect(config).toMatchObject({ worker: { leaseMs: 30_000 } });
});
