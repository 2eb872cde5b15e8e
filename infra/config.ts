/**
 * The configuration of the stack, and the only reader of it. Whatever is wrong is reported at once, with what was
 * expected, what came and what to do, before any resource is registered.
 */
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import type { QueueOptions } from "../runtime/model/queue.ts";
import { DEFAULT_POLICY, type ScalingPolicy } from "../runtime/model/scaling.ts";
import { KEYS, type Key, type KeyName, PLATFORMS, type Values } from "./config-keys.ts";
import { prefixOf, RULES } from "./config-rules.ts";
import { given } from "./queue-keys.ts";
import { closest } from "./suggestion.ts";
import { remainingQueues, sizeOfGroup } from "./worker-group-rules.ts";

export type QueueSettings = {
  readonly name: string;
  readonly type: "standard" | "fifo";
  readonly fair: boolean;
  readonly visibilitySeconds: number;
  readonly retentionSeconds: number;
  readonly maxReceiveCount: number;
  /** What the runtime is told besides. */
  readonly runtime: Partial<QueueOptions>;
};

export type TaskSize = { readonly cpu: number; readonly memory: number };

/** A further worker service. */
export type WorkerGroup = {
  readonly name: string;
  readonly queues: readonly string[];
  readonly slots: number;
  readonly size: TaskSize;
  /** Null: the image of the stack. */
  readonly image: string | null;
  readonly commands: boolean;
  readonly count: number;
};

export type StackConfig = Omit<
  Values,
  "queues" | "workerGroups" | "namePrefix" | "imagePlatforms" | "databasePassword"
> & {
  readonly stack: string;
  /** Start of every physical name. */
  readonly prefix: string;
  readonly queues: readonly QueueSettings[];
  readonly imagePlatforms: readonly string[];
  readonly databasePassword: pulumi.Output<string> | null;
  readonly apiSize: TaskSize;
  readonly workerSize: TaskSize;
  /** What the first worker service serves; null: all queues. */
  readonly workerQueues: readonly string[] | null;
  readonly workerGroups: readonly WorkerGroup[];
  readonly scalingPolicy: ScalingPolicy;
};

/** Reads it. Throws pulumi.RunError with every problem, one a line. */
export function loadConfig(): StackConfig {
  const project = pulumi.getProject();
  const stack = pulumi.getStack();
  const texts = new Map(
    Object.entries(pulumi.runtime.allConfig())
      .filter(([key]) => key.startsWith(`${project}:`))
      .map(([key, text]) => [key.slice(project.length + 1), text]),
  );
  const problems = [...texts.keys()].flatMap((name) => (name in KEYS ? [] : [unknownKey(name)]));
  const read: Partial<Record<KeyName, unknown>> = {};
  for (const [name, key] of Object.entries(KEYS) as [KeyName, Key<unknown>][]) {
    const result = key.schema.safeParse(parsed(key, texts.get(name)));
    if (result.success) read[name] = result.data;
    else problems.push(...result.error.issues.map((issue) => describe(name, key, issue, texts.get(name))));
  }
  // Every key of the table was read, or is missing and then no rule that reads it is asked.
  const values = read as Values;
  for (const rule of RULES) {
    if ([rule.name, ...rule.reads].some((name) => !(name in read)) || rule.holds(values, stack)) continue;
    problems.push(line(rule.name, `expected ${rule.expected(values, stack)}`, texts.get(rule.name), rule.hint));
  }
  if (problems.length > 0) throw new pulumi.RunError(report([...new Set(problems)]));
  return structured(values, stack);
}

function structured(values: Values, stack: string): StackConfig {
  const { queues, visibilitySeconds, retentionSeconds, maxReceiveCount, databasePassword } = values;
  return {
    ...values,
    stack,
    prefix: prefixOf(values, stack),
    queues: queues.map((queue) => ({
      name: queue.name,
      type: queue.type,
      fair: queue.fair,
      visibilitySeconds: queue.visibilitySeconds ?? visibilitySeconds,
      retentionSeconds: queue.retentionSeconds ?? retentionSeconds,
      maxReceiveCount: queue.maxReceiveCount ?? maxReceiveCount,
      runtime: given(queue),
    })),
    imagePlatforms: values.imagePlatforms.length > 0 ? values.imagePlatforms : [PLATFORMS[values.cpuArchitecture]],
    // A secret whichever way it was stored.
    databasePassword: databasePassword === null ? null : pulumi.secret(databasePassword),
    apiSize: { cpu: values.apiCpu, memory: values.apiMemory },
    workerSize: { cpu: values.workerCpu, memory: values.workerMemory },
    workerQueues: values.workerGroups.length === 0 ? null : remainingQueues(values),
    workerGroups: values.workerGroups.map((group) => ({
      name: group.name,
      queues: group.queues,
      slots: group.slots ?? values.workerSlots,
      size: sizeOfGroup(group, values),
      image: group.image ?? null,
      commands: group.commands,
      count: group.count,
    })),
    scalingPolicy: {
      ...DEFAULT_POLICY,
      min: values.workerMin,
      max: values.workerMax,
      perWorker: values.scalingPerWorker,
      outAbove: values.scalingOutAbove,
      inBelow: values.scalingInBelow,
      outCooldownMs: values.scalingOutCooldownSeconds * 1_000,
      inCooldownMs: values.scalingInCooldownSeconds * 1_000,
    },
  };
}

/** Values come as text; what is no text in the stack file is JSON. Anything else is left to the schema to refuse. */
function parsed(key: Key<unknown>, text: string | undefined): unknown {
  if (text === undefined || key.type === "string") return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function describe(name: KeyName, key: Key<unknown>, issue: z.core.$ZodIssue, text: string | undefined): string {
  const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  // Only shapes have messages of their own; what zod says about the rest is less than the table knows.
  const expected = issue.message.startsWith("expected ") ? issue.message : `expected ${expectedAt(key, issue)}`;
  return line(`${name}${path}`, expected, text, key.hint);
}

function expectedAt(key: Key<unknown>, issue: z.core.$ZodIssue): string {
  if (issue.path.length === 0) return key.expected;
  const field = KEYS[issue.path.at(-1) as KeyName] as Key<unknown> | undefined;
  return field?.expected ?? key.expected;
}

function line(name: string, expected: string, text: string | undefined, hint: string): string {
  const got = text === undefined ? "nothing" : name === "databasePassword" ? "something else (not shown)" : shown(text);
  return `${pulumi.getProject()}:${name}: ${expected}, got ${got}. ${hint}`;
}

function shown(text: string): string {
  const quoted = JSON.stringify(text);
  return quoted.length <= 120 ? quoted : `${quoted.slice(0, 120)}…`;
}

function unknownKey(name: string): string {
  const meant = closest(name, Object.keys(KEYS));
  const hint = meant === undefined ? "Remove it; Pulumi.yaml lists them all." : `Did you mean ${meant}?`;
  return `${pulumi.getProject()}:${name}: there is no such key. ${hint}`;
}

function report(problems: readonly string[]): string {
  const head =
    problems.length === 1 ? "" : `${problems.length} problems in the configuration of stack ${pulumi.getStack()}:\n`;
  return `${head}${problems.join("\n")}`;
}
