/**
 * What a worker and a task's process say to each other. Values go as the JSON text that the row holds, never as values: what a structured clone
 * or a second encoding would change stays as it is.
 *
 *   worker: load ──► run ──► abort?          child: ready | unusable ──► (progress | log)* ──► ended
 */
import { z } from "zod";
import type { Context } from "../define/context.ts";
import type { AbortReason } from "../model/task.ts";

/** What a handler can know of its attempt. */
export type AttemptFacts = Pick<
  Context,
  "taskId" | "task" | "queue" | "tenant" | "attempt" | "failures" | "labels" | "idempotencyKey" | "traceparent"
>;

export type ToChild =
  | { readonly kind: "load"; readonly modules: readonly string[] }
  /** `run` numbers the attempts of one child: what an earlier one still says is not of this one. */
  | {
      readonly kind: "run";
      readonly run: number;
      readonly facts: AttemptFacts;
      readonly inputText: string | null;
      readonly maxPayloadBytes: number;
    }
  | { readonly kind: "abort"; readonly run: number; readonly reason: AbortReason };

const MAX_NAME = 200;
const MAX_TEXT = 20_000;

const error = z.object({
  code: z.string().max(MAX_NAME),
  type: z.string().max(MAX_NAME),
  message: z.string().max(MAX_TEXT),
  stack: z.string().max(MAX_TEXT).exactOptional(),
});

const ended = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("succeeded"), resultText: z.string().nullable() }),
  z.object({
    kind: z.literal("failed"),
    error,
    retry: z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("policy") }),
      z.object({ kind: z.literal("never") }),
      z.object({ kind: z.literal("after"), delayMs: z.number().min(0).max(86_400_000) }),
    ]),
  }),
]);

/** Checked, because it comes from a process that runs other people's code, and that code can send what it likes. */
export const FROM_CHILD = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready") }),
  z.object({ kind: z.literal("unusable"), message: z.string().max(MAX_TEXT) }),
  z.object({
    kind: z.literal("progress"),
    run: z.number(),
    fraction: z.number(),
    message: z.string().exactOptional(),
  }),
  z.object({
    kind: z.literal("log"),
    run: z.number(),
    level: z.enum(["debug", "info", "warn", "error"]),
    message: z.string(),
    fields: z.record(z.string(), z.unknown()),
  }),
  /** `last`: the child exits after this, so it gets no other attempt. */
  z.object({ kind: z.literal("ended"), run: z.number(), outcome: ended, last: z.boolean() }),
]);
export type FromChild = z.output<typeof FROM_CHILD>;

/** How the handler in a child ended, as far as the child knows: an abort is judged by the worker. */
export type ChildOutcome = z.output<typeof ended>;
