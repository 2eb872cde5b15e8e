/**
 * Whatever stands in a queue, the worker lives on: every message is deleted or dead-lettered, and the tasks beside it run.
 * SQS takes a part of Unicode only, and the emulator nothing above U+FFFF, so such characters come as escapes.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineTask } from "../../runtime/define/task.ts";
import type { Delivery, Outgoing } from "../../runtime/queue/queue.ts";
import { encodeDoorbell } from "../../runtime/wire/message.ts";
import { createTasks, readTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { useRig } from "./rig.ts";

const rig = useRig();

/** ASCII, every other character as an escape. */
const escaped = (json: string) =>
  json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** What SQS refuses in a body is left out. */
const carried = (text: string) => text.replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd]/g, "") || " ";

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "\u0000",
    "\ud800",
    "\udc00\ud800",
    "😀",
    "taskiq_aws",
    "doorbell",
    "",
  ),
);
const anyJson = fc.oneof(fc.jsonValue({ stringUnit: "binary" }), fc.dictionary(anyText, fc.jsonValue()), anyText);

const hexId = fc.uuid().map((id) => id.replaceAll("-", ""));
const label = fc.oneof(anyText, fc.integer(), fc.constant(null), anyJson);

/** A TaskIQ message of which every member may be missing, or of another type. */
const almostTask = fc
  .record(
    {
      task_id: fc.oneof(hexId, anyText, anyJson),
      task_name: fc.oneof(anyText, anyJson),
      labels: fc.oneof(fc.dictionary(anyText, label), fc.constant({ taskiq_aws: "doorbell" }), anyJson),
      labels_types: fc.oneof(fc.dictionary(anyText, fc.integer({ min: -1, max: 9 })), anyJson),
      args: fc.oneof(fc.array(anyJson, { maxLength: 3 }), anyJson),
      kwargs: fc.oneof(fc.dictionary(anyText, anyJson, { maxKeys: 3 }), anyJson),
      ["__proto__"]: anyJson,
    },
    { requiredKeys: [] },
  )
  .map((message) => escaped(JSON.stringify(message)));

/** Ours but for one member, or for none. */
const almostDoorbell = fc
  .record({
    id: hexId,
    key: fc.constantFrom("task_id", "task_name", "labels", "labels_types", "args", "other"),
    value: anyJson,
  })
  .map(({ id, key, value }) => {
    const bell = JSON.parse(encodeDoorbell({ taskId: id, taskName: "demo" }));
    return escaped(JSON.stringify({ ...bell, [key]: value }));
  });

const cutOff = fc.tuple(almostTask, fc.nat()).map(([text, at]) => text.slice(0, 1 + (at % text.length)));

const deep = fc
  .record({
    levels: fc.constantFrom(999, 1_000, 1_001, 20_000, 400_000),
    opening: fc.constantFrom("[", '{"a":', '[{"__proto__":'),
    isClosed: fc.boolean(),
    member: fc.constantFrom("args", "kwargs", "labels", "task_id", null),
  })
  .map(({ levels, opening, isClosed, member }) => {
    const count = Math.min(levels, Math.floor(900_000 / (opening.length + 2)));
    const closing = [...opening]
      .reverse()
      .map((one) => (one === "[" ? "]" : one === "{" ? "}" : ""))
      .join("");
    const nested = `${opening.repeat(count)}1${isClosed ? closing.repeat(count) : ""}`;
    if (member === null) return nested;
    return `{"task_id":"a","task_name":"b","labels":{},"args":[],"kwargs":{},"${member}":${nested}}`;
  });

const large = fc
  .record({ bytes: fc.integer({ min: 200_000, max: 1_040_000 }), isJson: fc.boolean() })
  .map(({ bytes, isJson }) =>
    isJson
      ? `{"task_id":"${"x".repeat(bytes / 2)}","task_name":"","labels":{"x":"${"y".repeat(bytes / 2 - 200)}"},"args":[],"kwargs":{}}`
      : "z".repeat(bytes),
  );

const attributes = fc.option(
  fc.dictionary(
    fc.constantFrom("s3_extended_message", "ExtendedPayloadSize", "SQSLargePayloadSize", "trace"),
    fc.constantFrom("True", "300000", "x"),
    { minKeys: 1 },
  ),
  { nil: undefined, freq: 4 },
);

const body = fc.oneof(
  { weight: 6, arbitrary: almostTask },
  { weight: 3, arbitrary: almostDoorbell },
  { weight: 2, arbitrary: cutOff },
  { weight: 2, arbitrary: anyJson.map((value) => escaped(JSON.stringify(value))) },
  { weight: 2, arbitrary: anyText.map(carried) },
  { weight: 1, arbitrary: deep },
  { weight: 1, arbitrary: large },
);

const message: fc.Arbitrary<Outgoing> = fc
  .record({ body, attributes })
  .map((one) => ({ body: one.body, ...(one.attributes && { attributes: one.attributes }) }));

/** A doorbell that names no task is deleted: its task was pruned. Judged from the text alone, apart from the product's reader. */
function isOurs({ body: text, attributes: marks = {} }: Outgoing): boolean {
  if (Object.keys(marks).some((mark) => mark !== "trace")) return false;
  try {
    const { task_id, task_name, labels, args, kwargs } = JSON.parse(text);
    const isCalled = typeof task_id === "string" && typeof task_name === "string";
    const isEmpty = Array.isArray(args) && args.length === 0 && JSON.stringify(kwargs) === "{}";
    return isCalled && isEmpty && !Array.isArray(labels) && labels.taskiq_aws === "doorbell";
  } catch {
    return false;
  }
}

function heapAfterCollection(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

test("any bodies: each is deleted or dead-lettered with its reason, the tasks among them succeed, and memory is bounded", async () => {
  const worker = rig.start({
    tasks: [defineTask({ name: "demo", input: z.unknown(), run: (input) => input })],
    settings: { slots: 20 },
  });
  let stopped = false;
  void worker.stopped.then(() => {
    stopped = true;
  });
  const seen = { dead: 0, ours: 0 };
  let heapAtFirst = 0;

  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 15, maxLength: 30 }), async (messages) => {
      const inputs = Array.from({ length: 8 }, (_, nth) => `{"nth":${nth}}`);
      const ids = await createTasks(
        rig.database,
        inputs.map((input) => ({ input })),
      );
      const bells = ids.map((taskId) => ({ body: encodeDoorbell({ taskId, taskName: "demo" }) }));
      const mixed = messages.flatMap((one, nth) => (bells[nth] === undefined ? [one] : [one, bells[nth]]));
      await rig.send(mixed);

      await until(async () => (await readTasks(rig.database)).every((row) => row.state === "succeeded"));
      await until(() => rig.held().ready.length + rig.held().inflight.length === 0, { what: "the queue to be empty" });
      const rows = new Map((await readTasks(rig.database)).map((row) => [row.id, row]));
      expect(ids.map((id) => rows.get(id)?.result)).toEqual(inputs);

      const dead: Delivery[] = await rig.takeDeadLetters();
      const poison = messages.filter((one) => !isOurs(one));
      expect(dead.map((one) => one.body).toSorted()).toEqual(poison.map((one) => one.body).toSorted());
      for (const one of dead) {
        // A message of the greatest size has no room for attributes.
        if (one.body.length > 1_047_000) continue;
        expect(["unreadable", "foreign_not_supported"]).toContain(one.attributes.reason);
        expect(one.attributes).toMatchObject({
          source_queue: "default",
          detail: expect.stringMatching(/^[ -~]{1,300}$/),
        });
      }
      expect([stopped, worker.live().ok, worker.running]).toEqual([false, true, 0]);

      seen.dead += dead.length;
      seen.ours += messages.length - poison.length;
      if (heapAtFirst === 0) heapAtFirst = heapAfterCollection();
    }),
    { numRuns: 12, endOnFailure: true },
  );

  expect(seen.dead).toBeGreaterThan(100);
  expect(seen.ours).toBeGreaterThan(0);
  expect(heapAfterCollection() - heapAtFirst).toBeLessThan(48 * 1_048_576);
  expect(rig.events("process.failed", "complete.failed", "queue.delete_failed")).toEqual([]);
});
