import { beforeEach, describe, expect, test } from "vitest";
import {
  chainMiddlewares,
  type ExecutingTask,
  type ExecutionResult,
  type Middleware,
  type Middlewares,
  type SavedResult,
  type SendingTask,
} from "../../runtime/define/middleware.ts";
import { openLog } from "../../runtime/log.ts";

let lines: { event: string; middleware: string; hook: string }[] = [];
const log = openLog({ level: "debug", format: "json", service: "test", write: (line) => lines.push(JSON.parse(line)) });

beforeEach(() => {
  lines = [];
});

const sending: SendingTask = {
  id: "1",
  name: "demo",
  queue: "default",
  tenant: "acme",
  labels: {},
  traceContext: null,
};
const executing: ExecutingTask = { ...sending, step: null, attempt: 1, waitMs: 0, failures: 0, timeoutMs: 60_000 };
const result: ExecutionResult = { kind: "succeeded", error: null, durationMs: 1 };
const saved: SavedResult = { ...result, recorded: "succeeded", retryInMs: null };

const HOOKS = ["preSend", "postSend", "preExecute", "onError", "postExecute", "postSave"] as const;
type Hook = (typeof HOOKS)[number];

function callHook(chain: Middlewares, hook: Hook): Promise<void> | null {
  switch (hook) {
    case "preSend":
    case "postSend":
      return chain.call(hook, sending);
    case "preExecute":
      return chain.call(hook, executing);
    case "onError":
      return chain.call(hook, executing, new Error("no route"));
    case "postExecute":
      return chain.call(hook, executing, result);
    case "postSave":
      return chain.call(hook, executing, saved);
  }
}

/** Has every hook, and writes down which were called. */
function told(calls: string[], name: string): Middleware {
  const note = (hook: Hook) => async () => void calls.push(`${hook} ${name}`);
  return { name, ...Object.fromEntries(HOOKS.map((hook) => [hook, note(hook)])) };
}

describe.each(HOOKS)("%s", (hook) => {
  test(`is called ${hook.startsWith("pre") ? "in the order of registration" : "in reverse"}, one after the other`, async () => {
    const calls: string[] = [];
    await callHook(chainMiddlewares([told(calls, "a"), told(calls, "b"), told(calls, "c")], log), hook);
    const order = hook.startsWith("pre") ? ["a", "b", "c"] : ["c", "b", "a"];
    expect(calls).toEqual(order.map((name) => `${hook} ${name}`));
  });

  test("that nobody has costs nothing", () => {
    expect(callHook(chainMiddlewares([{ name: "empty" }], log), hook)).toBeNull();
  });

  test.each<[string, () => unknown]>([
    [
      "throws",
      () => {
        throw new Error("broken");
      },
    ],
    ["rejects", () => Promise.reject(new Error("broken"))],
    ["rejects with null", () => Promise.reject(null)],
    [
      "throws an object whose getters throw",
      () => {
        throw hostile();
      },
    ],
  ])("that %s is logged with its name and passed over, in every position", async (_what, broken) => {
    for (const position of [0, 1, 2]) {
      lines = [];
      const calls: string[] = [];
      const middlewares: Middleware[] = [told(calls, "a"), told(calls, "b")];
      middlewares.splice(position, 0, { name: "broken", [hook]: broken });
      await callHook(chainMiddlewares(middlewares, log), hook);
      expect([...calls].sort()).toEqual([`${hook} a`, `${hook} b`]);
      expect(lines).toMatchObject([{ event: "hook.failed", middleware: "broken", hook }]);
    }
  });

  test("is called on its middleware", async () => {
    const seen: unknown[] = [];
    const middleware = {
      name: "own",
      [hook](this: unknown) {
        seen.push(this);
      },
    };
    await callHook(chainMiddlewares([middleware], log), hook);
    expect(seen).toEqual([middleware]);
  });
});

test("the list given is not turned around", async () => {
  const calls: string[] = [];
  const middlewares = [told(calls, "a"), told(calls, "b")];
  chainMiddlewares(middlewares, log);
  expect(middlewares.map(({ name }) => name)).toEqual(["a", "b"]);
});

function hostile(): object {
  const thrower = () => {
    throw new Error("getter");
  };
  return Object.defineProperties({}, { message: { get: thrower }, name: { get: thrower }, stack: { get: thrower } });
}
