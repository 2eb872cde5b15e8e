import { describe, expect, it, onTestFinished, vi } from "vitest";
import { configFromProcess, loadConfig, type ServiceConfig } from "../runtime/config.ts";
import { VARIABLES } from "../runtime/config-table.ts";
import type { Variable } from "../runtime/config-variable.ts";
import { TaskiqError } from "../runtime/errors.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../runtime/model/queue.ts";

const QUEUE = {
  name: "default",
  url: "http://localhost:4566/0/default",
  deadLetterUrl: "http://localhost:4566/0/dead",
};
const MINIMAL = {
  DATABASE_URL: "postgres://u:hunter2@localhost:5432/taskiq",
  TASKIQ_QUEUES: JSON.stringify([QUEUE]),
  TASKIQ_S3_BUCKET: "payloads",
};

function service(env: Record<string, string | undefined> = {}): ServiceConfig {
  const config = loadConfig({ ...MINIMAL, ...env });
  if (config.role === "migrate") throw new Error("expected a role other than migrate");
  return config;
}

/** The problems of an environment, one a line. */
function problems(env: Record<string, string | undefined>): readonly string[] {
  try {
    loadConfig({ ...MINIMAL, ...env });
  } catch (error) {
    if (error instanceof TaskiqError && error.code === "config_invalid" && Array.isArray(error.details)) {
      for (const line of error.details) expect(error.message).toContain(line);
      return error.details;
    }
    throw error;
  }
  return [];
}

describe("a minimal environment", () => {
  it("gives every default", () => {
    expect(service()).toEqual({
      role: "all",
      database: {
        url: MINIMAL.DATABASE_URL,
        secretArn: null,
        caFile: null,
        pool: 10,
        queryTimeoutMs: 8_000,
        schemaWaitMs: 300_000,
      },
      log: { level: "info", format: "json", tasks: false },
      aws: { region: "us-east-1", endpointUrl: null },
      queues: [{ ...QUEUE, options: DEFAULT_QUEUE_OPTIONS }],
      cancelQueueUrl: null,
      http: { host: "0.0.0.0", port: 8_080, maxBodyBytes: 1_048_576, demo: true, logsUrl: null },
      access: { auth: "keys", environment: "local", auditRetentionMs: 34_560_000_000 },
      submit: { groupCommitMs: 2, idempotencyTtlMs: 86_400_000, maxDelayMs: 31_536_000_000 },
      worker: {
        name: null,
        queues: ["default"],
        slots: 10,
        leaseMs: 30_000,
        extendIntervalMs: 10_000,
        graceMs: 10_000,
        drainBudgetMs: 120_000,
        drainWorkMs: 100_000,
        commitTimeoutMs: 5_000,
        receiveWaitMs: 20_000,
        completeLingerMs: 3,
        unknownTaskAfterMs: 3_600_000,
        probe: { host: "127.0.0.1", port: 8_081 },
      },
      executor: {
        announceIntervalMs: 250,
        reapIntervalMs: 2_000,
        ringAgainAfterMs: 300_000,
        ringAgainIntervalMs: 30_000,
        pruneIntervalMs: 60_000,
        pythonIntervalMs: 500,
        retentionMs: 2_592_000_000,
      },
      payload: { bucket: "payloads", inlineBytes: 65_536, maxBytes: 16_777_216 },
      scaling: null,
      protection: { agentUrl: null, metadataUrl: null, afterMs: 1_000, limitMs: 1_800_000 },
      metrics: { prometheus: true, emf: false, namespace: "taskiq", stack: "local", intervalMs: 20_000 },
      tracing: null,
      tasks: { modules: [], warmProcesses: 1, processEnvNames: [], commandEnvNames: null, commandInheritedNames: [] },
    });
  });

  it("counts empty and blank variables as unset", () => {
    const blank = Object.fromEntries(Object.keys(VARIABLES).map((name, index) => [name, index % 2 === 0 ? "" : "  "]));
    expect(service({ ...blank, ...MINIMAL })).toEqual(service());
  });
});

describe("given values", () => {
  it.each([
    ["prometheus", { prometheus: true, emf: false }],
    ["emf", { prometheus: false, emf: true }],
    ["prometheus,emf", { prometheus: true, emf: true }],
    [" emf, prometheus ", { prometheus: true, emf: true }],
  ])("say how metrics are shown: %j", (TASKIQ_METRICS, kinds) => {
    expect(service({ TASKIQ_METRICS }).metrics).toMatchObject(kinds);
  });

  it("show no metrics where they are off", () => {
    expect(service({ TASKIQ_METRICS: "off" }).metrics).toBeNull();
  });

  it.each(["statsd", "emf,emf", "off,emf", "prometheus;emf"])(
    "refuse %j as a way to show metrics",
    (TASKIQ_METRICS) => {
      expect(() => service({ TASKIQ_METRICS })).toThrow(
        "TASKIQ_METRICS: expected off, or some of prometheus, emf with commas between them, got",
      );
    },
  );

  it("are read with the blanks around them cut off", () => {
    const config = service({
      SERVICE_ROLE: " worker ",
      TASKIQ_LEASE_MS: "60000\n",
      TASKIQ_WORKER_NAME: "w-1",
      TASKIQ_TASK_MODULES: "./a.ts, file:///b.ts",
      TASKIQ_PROCESS_WARM: "3",
      TASKIQ_PROCESS_ENV: "STRIPE_API_KEY",
      TASKIQ_COMMANDS: "on",
      TASKIQ_COMMAND_ENV: "RUN_ID, STEP",
      TASKIQ_COMMAND_INHERIT_ENV: "DAGSTER_HOME",
      TASKIQ_LOG: "tasks",
      TASKIQ_LOG_FORMAT: "pretty",
      AWS_ENDPOINT_URL: "http://localhost:4566",
    });
    expect(config).toMatchObject({
      role: "worker",
      worker: { leaseMs: 60_000, name: "w-1" },
      tasks: {
        modules: ["./a.ts", "file:///b.ts"],
        warmProcesses: 3,
        processEnvNames: ["STRIPE_API_KEY"],
        commandEnvNames: ["RUN_ID", "STEP"],
        commandInheritedNames: ["DAGSTER_HOME"],
      },
      log: { tasks: true, format: "pretty" },
      aws: { endpointUrl: "http://localhost:4566" },
    });
  });

  it("are accepted at their bounds and refused beyond", () => {
    expect(service({ TASKIQ_WORKER_SLOTS: "1" }).worker.slots).toBe(1);
    expect(service({ TASKIQ_WORKER_SLOTS: "1000" }).worker.slots).toBe(1_000);
    expect(problems({ TASKIQ_WORKER_SLOTS: "0" })).toEqual([
      'TASKIQ_WORKER_SLOTS: expected an integer from 1 to 1000, got "0". Use a number, for example 10.',
    ]);
    expect(problems({ TASKIQ_WORKER_SLOTS: "1001" })).toHaveLength(1);
  });

  it("turn the liveness server off with port 0", () => {
    expect(service({ TASKIQ_PROBE_PORT: "0" }).worker.probe).toBeNull();
  });

  it("are read from an alias only where the variable itself is unset", () => {
    expect(service({ AWS_DEFAULT_REGION: "eu-west-1" }).aws.region).toBe("eu-west-1");
    expect(service({ AWS_DEFAULT_REGION: "eu-west-1", AWS_REGION: "" }).aws.region).toBe("eu-west-1");
    expect(service({ AWS_DEFAULT_REGION: "eu-west-1", AWS_REGION: "eu-north-1" }).aws.region).toBe("eu-north-1");
  });

  it("limit a worker to the queues it names, each once", () => {
    const mail = { name: "mail", url: "http://localhost/0/mail", deadLetterUrl: QUEUE.deadLetterUrl };
    const TASKIQ_QUEUES = JSON.stringify([QUEUE, mail]);
    expect(service({ TASKIQ_QUEUES }).worker.queues).toEqual(["default", "mail"]);
    expect(service({ TASKIQ_QUEUES, TASKIQ_WORKER_QUEUES: "mail, mail" }).worker.queues).toEqual(["mail"]);
  });
});

describe("the migrate role", () => {
  it("needs the database and nothing else", () => {
    const config = loadConfig({
      SERVICE_ROLE: "migrate",
      DATABASE_URL: MINIMAL.DATABASE_URL,
      TASKIQ_QUEUES: "nonsense",
    });
    const { database, log, aws } = service();
    expect(config).toEqual({ role: "migrate", database, log, aws });
  });
});

describe("a wrong value", () => {
  it.each(["30s", "1e4", "30000.5", "-1", "0x10", "30_000", "NaN", "9".repeat(20)])("%s is no integer", (text) => {
    const [line, ...others] = problems({ TASKIQ_LEASE_MS: text });
    expect(others).toEqual([]);
    expect(line).toMatch(
      /^TASKIQ_LEASE_MS: expected an integer from 2000 to 600000, got ".+ Use milliseconds, for example 30000\.$/,
    );
    expect(line?.length).toBeLessThan(300);
  });

  it("is reported with what was expected, what came and what to do", () => {
    expect(problems({ TASKIQ_LEASE_MS: "30s" })).toEqual([
      'TASKIQ_LEASE_MS: expected an integer from 2000 to 600000, got "30s". Use milliseconds, for example 30000.',
    ]);
    expect(problems({ SERVICE_ROLE: "wroker" })).toEqual([
      'SERVICE_ROLE: expected one of all, api, worker, executor, migrate, got "wroker". For example all.',
    ]);
    expect(problems({ TASKIQ_RECEIVE_WAIT_MS: "1500" })).toEqual([
      'TASKIQ_RECEIVE_WAIT_MS: expected an integer from 0 to 20000 in steps of 1000, got "1500". Use milliseconds, for example 20000.',
    ]);
    expect(problems({ TASKIQ_S3_BUCKET: undefined })).toEqual([
      "TASKIQ_S3_BUCKET: expected the name of an S3 bucket, got nothing. A name has 3 to 63 lower-case letters, digits, dots and hyphens.",
    ]);
    expect(problems({ TASKIQ_WORKER_QUEUES: "default,," })).toEqual([
      'TASKIQ_WORKER_QUEUES: expected names of queues, separated by commas, got "default,,". The names are those of TASKIQ_QUEUES.',
    ]);
  });

  it.each(["mysql://u:hunter2@h/d", "u:hunter2@h/d", "postgres://u:hunter#2@h/d", "postgres://u:hunter2@h d/"])(
    "of DATABASE_URL is never shown (%s)",
    (url) => {
      const lines = problems({ DATABASE_URL: url });
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain("DATABASE_URL: expected a URL that starts with postgres:// or postgresql://");
      expect(lines[0]).not.toContain("hunter");
    },
  );

  it("shows no password that stands in another variable", () => {
    expect(problems({ AWS_ENDPOINT_URL: "ftp://u:hunter2@h/" }).join()).not.toContain("hunter");
    expect(problems({ TASKIQ_DATABASE_PASSWORD: "hunter2" }).join()).not.toContain("hunter");
  });

  it("is reported together with all the others, one a line", () => {
    const env = {
      DATABASE_URL: "",
      TASKIQ_LEASE_MS: "soon",
      TASKIQ_LOG_LEVEL: "loud",
      TASKIQ_QUEUES: "[]",
      TASKIQ_INLINE_PAYLOAD_BYTES: "2000",
      TASKIQ_MAX_PAYLOAD_BYTES: "1024",
      TASKIQ_SLOTS: "3",
    };
    expect(problems(env).map((line) => line.split(":", 1)[0])).toEqual([
      "DATABASE_URL",
      "TASKIQ_LOG_LEVEL",
      "TASKIQ_QUEUES",
      "TASKIQ_LEASE_MS",
      "TASKIQ_INLINE_PAYLOAD_BYTES",
      "TASKIQ_SLOTS",
    ]);
    expect(() => loadConfig({ ...MINIMAL, ...env })).toThrow(/^6 problems in the configuration:\nDATABASE_URL: /);
  });
});

describe("TASKIQ_QUEUES", () => {
  const queues = (value: unknown) =>
    problems({ TASKIQ_QUEUES: typeof value === "string" ? value : JSON.stringify(value) });

  it.each([
    ["not JSON", "default=http://localhost"],
    ["not a list", { default: "http://localhost" }],
  ])("is refused when it is %s", (_name, value) => {
    expect(queues(value)).toEqual([
      expect.stringMatching(/^TASKIQ_QUEUES: expected a JSON list of queues, got ".*\. Each queue is written \{"name"/),
    ]);
  });

  it.each([
    ["an empty list", [], ': expected a queue named "default"'],
    ["no queue called default", [{ ...QUEUE, name: "mail" }], ': expected a queue named "default"'],
    [
      "a bad name",
      [QUEUE, { ...QUEUE, url: "http://h/2", name: "Mail" }],
      "[1].name: expected a name of up to 40 lower-case letters",
    ],
    ["no name", [{ ...QUEUE, name: undefined }], "[0].name: expected a name"],
    [
      "a URL that is none",
      [QUEUE, { ...QUEUE, name: "b", url: "mail" }],
      '[1].url: expected the URL of the queue, got "mail".',
    ],
    [
      "no dead-letter queue",
      [{ ...QUEUE, deadLetterUrl: undefined }],
      "[0].deadLetterUrl: expected the URL of the dead-letter queue, got nothing.",
    ],
    ["an ftp URL", [{ ...QUEUE, url: "ftp://h/q" }], "[0].url: expected the URL of the queue"],
    [
      "a type that does not exist",
      [{ ...QUEUE, type: "lifo" }],
      '[0].type: expected one of standard, fifo, cancel, got "lifo".',
    ],
    ["a default queue that is FIFO", [{ ...QUEUE, type: "fifo" }], ': expected a queue named "default"'],
    [
      "a cancel queue with dead letters",
      [QUEUE, { ...QUEUE, url: "http://h/2", name: "cancel", type: "cancel" }],
      "[1].deadLetterUrl: expected none on a cancel queue",
    ],
    [
      "two cancel queues",
      [QUEUE, { name: "a", url: "http://h/2", type: "cancel" }, { name: "b", url: "http://h/3", type: "cancel" }],
      ': expected at most one queue of type "cancel"',
    ],
    [
      "a misspelt field",
      [{ ...QUEUE, dlq: "x" }],
      '[0]: expected an object with name, url, deadLetterUrl and, if at all, type and options of the queue, got "dlq".',
    ],
    [
      "a name twice",
      [QUEUE, { ...QUEUE, url: "http://h/2" }],
      '[1].name: expected a name no other queue has, got "default".',
    ],
    ["a URL twice", [QUEUE, { ...QUEUE, name: "b" }], "[1].url: expected a URL no other queue has"],
    [
      "a dead-letter queue that is polled",
      [{ ...QUEUE, deadLetterUrl: QUEUE.url }],
      "[0].deadLetterUrl: expected a queue that no worker polls",
    ],
    ["an order that does not exist", [{ ...QUEUE, order: "random" }], "[0].order: expected one of named, priority"],
    ["a weight out of bounds", [{ ...QUEUE, weight: 0 }], "[0].weight: expected an integer from 1 to 100, got 0."],
    [
      "a fair FIFO queue",
      [QUEUE, { ...QUEUE, name: "b", url: "http://h/2", type: "fifo", fair: true }],
      "[1].fair: expected false on a FIFO queue",
    ],
    ["null in the list", [QUEUE, null], "[1]: expected an object with name"],
  ])("is refused with %s", (_name, value, expected) => {
    const lines = queues(value);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`TASKIQ_QUEUES${expected}`);
  });
});

describe("rules between variables", () => {
  it.each([
    [
      { TASKIQ_LEASE_MS: "29999" },
      "TASKIQ_EXTEND_INTERVAL_MS: expected at most 9999, a third of TASKIQ_LEASE_MS (29999), got 10000, its default. Lower it or raise TASKIQ_LEASE_MS",
    ],
    [
      { TASKIQ_EXTEND_INTERVAL_MS: "10001" },
      'TASKIQ_EXTEND_INTERVAL_MS: expected at most 10000, a third of TASKIQ_LEASE_MS (30000), got "10001".',
    ],
    [
      { TASKIQ_DRAIN_WORK_MS: "110001" },
      "TASKIQ_DRAIN_WORK_MS: expected at most 110000, which is TASKIQ_DRAIN_BUDGET_MS (120000) minus TASKIQ_GRACE_MS (10000)",
    ],
    [
      { TASKIQ_DRAIN_BUDGET_MS: "15000", TASKIQ_DRAIN_WORK_MS: "5000" },
      "TASKIQ_RECEIVE_WAIT_MS: expected at most TASKIQ_DRAIN_BUDGET_MS (15000)",
    ],
    [{ TASKIQ_COMMIT_TIMEOUT_MS: "8001" }, "TASKIQ_COMMIT_TIMEOUT_MS: expected at most TASKIQ_QUERY_TIMEOUT_MS (8000)"],
    [
      { TASKIQ_MAX_PAYLOAD_BYTES: "65535" },
      "TASKIQ_INLINE_PAYLOAD_BYTES: expected at most TASKIQ_MAX_PAYLOAD_BYTES (65535), got 65536, its default.",
    ],
    [
      { TASKIQ_RETENTION_MS: "86399999" },
      "TASKIQ_RETENTION_MS: expected at least TASKIQ_IDEMPOTENCY_TTL_MS (86400000)",
    ],
    [{ TASKIQ_PROBE_PORT: "8080" }, "TASKIQ_PROBE_PORT: expected a port other than TASKIQ_HTTP_PORT (8080)"],
    [
      { TASKIQ_WORKER_QUEUES: "default,mail" },
      'TASKIQ_WORKER_QUEUES: expected names out of TASKIQ_QUEUES (default), got "default,mail".',
    ],
  ])("refuse %o", (env, expected) => {
    const lines = problems(env);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(expected);
  });

  it.each([
    { TASKIQ_LEASE_MS: "2000", TASKIQ_EXTEND_INTERVAL_MS: "666" },
    { TASKIQ_DRAIN_WORK_MS: "110000" },
    { TASKIQ_COMMIT_TIMEOUT_MS: "8000" },
    { TASKIQ_PROBE_PORT: "8080", SERVICE_ROLE: "worker" },
    { TASKIQ_PROBE_PORT: "0", TASKIQ_HTTP_PORT: "0" },
  ])("allow %o", (env) => {
    expect(problems(env)).toEqual([]);
  });
});

describe("an unknown TASKIQ_ name", () => {
  it.each([
    ["TASKIQ_LEASE", "TASKIQ_LEASE: there is no such variable. Did you mean TASKIQ_LEASE_MS?"],
    ["TASKIQ_WORKERS_SLOT", "TASKIQ_WORKERS_SLOT: there is no such variable. Did you mean TASKIQ_WORKER_SLOTS?"],
    ["TASKIQ_HTTP_PROT", "TASKIQ_HTTP_PROT: there is no such variable. Did you mean TASKIQ_HTTP_PORT?"],
    [
      "TASKIQ_FAVOURITE_COLOUR",
      "TASKIQ_FAVOURITE_COLOUR: there is no such variable. Remove it; .env.example lists them all.",
    ],
  ])("%s is an error", (name, expected) => {
    expect(problems({ [name]: "secret-value" })).toEqual([expected]);
    expect(() => loadConfig({ SERVICE_ROLE: "migrate", DATABASE_URL: MINIMAL.DATABASE_URL, [name]: "1" })).toThrow(
      expected,
    );
  });

  it("is an error with an empty value too, but not when it is unset or somebody else's", () => {
    expect(problems({ TASKIQ_LEASE: "" })).toHaveLength(1);
    expect(problems({ TASKIQ_LEASE: undefined, TASKIQUE: "x", PATH: "/bin" })).toEqual([]);
  });
});

describe("the table", () => {
  const table = Object.entries<Variable<unknown>>(VARIABLES);

  it.each(table)("%s has a default that its own schema accepts, and says what it means", (_name, variable) => {
    expect(variable.meaning).toMatch(/^["A-Z].*\.$/);
    expect(variable.hint).toMatch(/\.$/);
    expect(variable.schema.safeParse(variable.example).success).toBe(true);
    expect(variable.schema.safeParse(undefined).success).toBe(variable.presence !== "required");
  });
});

describe("configFromProcess", () => {
  it("reads the environment of this process, and overrides win", () => {
    const env = { ...MINIMAL, TASKIQ_WORKER_SLOTS: "4", TASKIQ_HTTP_PORT: "9000" };
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    onTestFinished(() => void vi.unstubAllEnvs());
    expect(configFromProcess({ TASKIQ_WORKER_SLOTS: "7" })).toMatchObject({
      worker: { slots: 7 },
      http: { port: 9_000 },
    });
    expect(configFromProcess({ SERVICE_ROLE: "migrate" }).role).toBe("migrate");
  });
});
