import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { type LogOptions, openLog } from "../runtime/log.ts";
import { EVENTS } from "../runtime/log-events.ts";

/** A log whose lines are kept. */
function keptLog(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const log = openLog({ level: "info", format: "json", service: "worker", worker: "w-1", write, ...options });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? "null") };
}

describe("EVENTS", () => {
  it("names every event as thing.what_happened and explains it in a sentence", () => {
    for (const [name, { meaning }] of Object.entries(EVENTS)) {
      expect(name).toMatch(/^[a-z]+(\.[a-z]+(_[a-z]+)*)$/);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
  });
});

describe("as JSON", () => {
  it("writes one line an event, with level, time, service and worker", () => {
    const { log, lines, last } = keptLog();
    log.warn("task.retried", { taskId: "t", error: new TypeError("no\nroute") });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]+\n$/);
    expect(last()).toMatchObject({
      level: "warn",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      service: "worker",
      worker: "w-1",
      event: "task.retried",
      taskId: "t",
      error: { type: "TypeError", message: "no\nroute", stack: expect.stringContaining("log.test.ts") },
    });
    expect(last()).not.toHaveProperty("msg");
    expect(last()).not.toHaveProperty("pid");
  });

  it("repeats the fields of a child on each of its lines, and not on its parent's", () => {
    const { log, last } = keptLog();
    log.child({ taskId: "t", password: "p" }).child({ attempt: 2 }).info("task.log", { message: "hi" });
    expect(last()).toMatchObject({ taskId: "t", attempt: 2, message: "hi", password: "[redacted]" });
    log.info("worker.started");
    expect(last()).not.toHaveProperty("taskId");
  });

  it("writes nothing below its level", () => {
    const { log, lines } = keptLog({ level: "warn" });
    log.info("worker.started");
    log.child({}).debug("task.log");
    expect(lines).toEqual([]);
    const silent = keptLog({ level: "silent" });
    silent.log.error("task.failed");
    expect(silent.lines).toEqual([]);
  });

  it("keeps fields that are named like the line's own apart", () => {
    const { log, last } = keptLog();
    log.info("task.log", { event: "mine", level: 9, time: "now" });
    expect(last()).toMatchObject({
      event: "task.log",
      level: "info",
      field_event: "mine",
      field_level: 9,
      field_time: "now",
    });
  });

  it("hides secrets", () => {
    const { log, lines } = keptLog();
    log.error("process.failed", { url: "postgres://u:hunter2@h/d", headers: { authorization: "Bearer hunter2" } });
    expect(lines.join()).not.toContain("hunter2");
  });
});

describe("whatever it is given", () => {
  it("never throws", () => {
    const { log, lines } = keptLog();
    const cycle: Record<string, unknown> = { big: 10n };
    cycle.cycle = cycle;
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const getter = {
      get broken(): never {
        throw new Error("no");
      },
    };
    for (const fields of [cycle, revoked.proxy, getter, [1], new Error("as fields"), Object.create(null)]) {
      log.info("task.log", fields);
      log.child(fields).info("task.log", { message: "from a child" });
    }
    expect(lines).toHaveLength(12);
    for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: "task.log" });
  });

  it("does not fail when the output does", () => {
    const write = () => {
      throw new Error("disk full");
    };
    const { log } = keptLog({ write });
    expect(() => log.error("task.failed")).not.toThrow();
  });
});

describe("pretty", () => {
  it("writes one readable line an event", () => {
    const { log, lines } = keptLog({ format: "pretty" });
    const error = Object.assign(new Error("no\nroute \u001b[2J\u009b"), { code: "EHOSTUNREACH" });
    log.warn("task.retried", { taskId: "0190-a", retryInMs: 250, error, tags: ["a b"], note: "two words" });
    expect(lines).toHaveLength(1);
    const expected = [
      "w-1 task.retried taskId=0190-a retryInMs=250",
      'error="Error: no\\nroute \\u001b[2J\\u009b (EHOSTUNREACH)" tags=["a b"] note="two words"\n',
    ].join(" ");
    expect(lines[0]).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] WARN: /);
    expect(lines[0]).toSatisfy((line: string) => line.endsWith(expected), lines[0]);
  });

  it("shows where an error came from only at debug level", () => {
    const debug = keptLog({ format: "pretty", level: "debug" });
    const info = keptLog({ format: "pretty" });
    for (const { log } of [debug, info]) log.error("task.failed", { error: new Error("boom") });
    expect(debug.lines[0]).toContain("log.test.ts");
    expect(info.lines[0]).not.toContain("log.test.ts");
    expect(debug.lines[0]).toMatch(/^[^\n]+\n$/);
  });

  it("names the service where there is no worker", () => {
    const lines: string[] = [];
    openLog({ level: "info", format: "pretty", service: "api", write: (line) => void lines.push(line) }).info(
      "api.started",
    );
    expect(lines[0]).toContain("api api.started");
  });
});

describe("to standard output", () => {
  const module = new URL("../runtime/log.ts", import.meta.url).href;
  const run = (format: string, shell: string) =>
    promisify(execFile)("sh", ["-c", shell], {
      env: {
        ...process.env,
        NODE: process.execPath,
        SCRIPT: `import { openLog } from ${JSON.stringify(module)};
          const log = openLog({ level: "info", format: ${JSON.stringify(format)}, service: "api" });
          for (let n = 0; n < 2000; n++) log.info("api.started", { n });
          process.exit(7);`,
      },
    });

  it.each(["json", "pretty"])("has written every %s line when the process exits at once", async (format) => {
    const { stdout } = await run(format, '"$NODE" --input-type=module -e "$SCRIPT" || echo "exit $?"');
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(2_001);
    expect(lines.at(-2)).toContain("1999");
    expect(lines.at(-1)).toBe("exit 7");
  });

  it("goes on when the reader has gone away", async () => {
    const script = '{ "$NODE" --input-type=module -e "$SCRIPT"; echo "exit $?" >&2; } | true';
    expect((await run("json", script)).stderr).toBe("exit 7\n");
  });
});
