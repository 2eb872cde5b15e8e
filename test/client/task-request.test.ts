import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { createClient } from "../../runtime/client/client.ts";
import { JsonText, taskRequestJson } from "../../runtime/client/task-request.ts";
import { defineTask } from "../../runtime/define/index.ts";

describe("the request for a task", () => {
  test("has what was given and nothing else", () => {
    expect(taskRequestJson("sleep", undefined, {})).toBe('{"task":"sleep"}');
    expect(
      JSON.parse(
        taskRequestJson("sleep", { a: 1 }, { queue: "default", priority: -5, delayMs: 1_500, labels: { team: "x" } }),
      ),
    ).toEqual({
      task: "sleep",
      input: { a: 1 },
      queue: "default",
      priority: -5,
      delay_seconds: 1.5,
      labels: { team: "x" },
    });
  });

  test("names each part of a policy as the API does", () => {
    const policy = { timeoutMs: 1, graceMs: 2, maxAttempts: 3, backoffMs: 4, maxBackoffMs: 5, maxLosses: 6 };
    expect(JSON.parse(taskRequestJson("sleep", undefined, { policy: { ...policy, onLost: "fail" } })).policy).toEqual({
      timeout_ms: 1,
      grace_ms: 2,
      max_attempts: 3,
      backoff_ms: 4,
      max_backoff_ms: 5,
      max_losses: 6,
      on_lost: "fail",
    });
    expect(taskRequestJson("sleep", undefined, { policy: { maxAttempts: 1 } })).toContain(
      '"policy":{"max_attempts":1}',
    );
  });

  test("carries JSON text as it is", () => {
    const text = '{"n": 18446744073709551616, "m": 1.0}';
    expect(taskRequestJson("sum", new JsonText(text), {})).toBe(`{"task":"sum","input":${text}}`);
  });

  test("refuses text that is not JSON, which could smuggle members in", () => {
    expect(() => new JsonText('1,"priority":100')).toThrow(SyntaxError);
  });

  test("refuses values that JSON would change without a word", () => {
    expect(() => taskRequestJson("sum", { n: Number.NaN }, {})).toThrow(/n.*NaN/);
    expect(() => taskRequestJson("sum", { n: 1n }, {})).toThrow(/n.*bigint/);
  });
});

test("the input is typed by the task's definition", () => {
  const resize = defineTask({ name: "resize", input: z.object({ width: z.number().default(3) }), run: () => null });
  const { enqueue } = createClient({ baseUrl: "http://127.0.0.1:1" });
  expectTypeOf(enqueue<typeof resize.input>)
    .parameter(1)
    .toEqualTypeOf<{ width?: number | undefined }>();
});
