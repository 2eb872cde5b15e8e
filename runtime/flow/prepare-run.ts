/**
 * What a request for a run comes to: the graph is checked, against the tasks and queues of this deployment too, and each step is made what its row
 * will be. Large inputs are in the payload store before there is a row.
 */

import { v7 as uuidv7 } from "uuid";
import { wireProblem } from "../define/python-task.ts";
import type { AnyTask, Registry } from "../define/registry.ts";
import type { TaskDefinition } from "../define/task.ts";
import { shapesOf } from "../define/task-shape.ts";
import { TaskiqError } from "../errors.ts";
import { boundIssues, inWords } from "../issues.ts";
import type { Graph, PlannedStep, RunMode, Step } from "../model/graph.ts";
import { type GraphIssue, planGraph } from "../model/graph-check.ts";
import { allowsLimits } from "../model/queue.ts";
import { SIMPLE_RUN_TASK, WHOLE_RUN_KEY } from "../model/run.ts";
import { PRIORITY_TAG, priorityProblem, priorityTagOf, queueTagOf, RUN_PRIORITY_TAG } from "../model/tags.ts";
import { PRIORITY_LIMITS, type TaskPolicy } from "../model/task.ts";
import { encodeJson } from "../payload/json.ts";
import type { PayloadStore } from "../payload/payload.ts";
import type { Database } from "../postgres/pool.ts";
import type { QueueSet } from "../queue/queue-set.ts";
import { groupKeyOf } from "../wire/group.ts";
import { createLimitBook } from "./limit-book.ts";
import type { SubmitObserver } from "./submit-observer.ts";
import { type PreparedRun, type PreparedStep, stepIdOf } from "./write-run.ts";

export type RunRequest = {
  /** The name under which the graph is defined; null: it was posted as it is. */
  readonly job: string | null;
  readonly graph: Graph;
  readonly mode: RunMode;
  readonly input: unknown;
  /** From -100 to 100, added to that of every step. Default: the label `taskiq/run_priority`, else 0. */
  readonly priority?: number | undefined;
  /** Of the run and of its steps, which may have more. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly traceContext?: string | null | undefined;
};

export type PreparerParts = {
  readonly database: Database;
  readonly payloads: PayloadStore;
  /** The tasks that steps may be. */
  readonly registry: Registry;
  /** The task that a run of the mode `simple` is. Absent: there is no such mode here. */
  readonly simpleRun?: AnyTask;
  readonly queues: QueueSet;
  readonly inlinePayloadBytes: number;
  readonly maxPayloadBytes: number;
  /** Counts inputs. */
  readonly observer?: Pick<SubmitObserver, "inputStored"> | undefined;
};

const STORED_AT_ONCE = 16;
const MAX_LABELS = 50;

/** Throws TaskiqError `graph_invalid`, `input_not_storable`, `payload_too_large`, `payload_unavailable`, and what the database throws. */
export function createRunPreparer(
  parts: PreparerParts,
): (id: string, request: RunRequest, tenant: string) => Promise<PreparedRun> {
  const { payloads, registry, queues } = parts;
  const shapes = shapesOf(registry);
  const limits = createLimitBook(parts.database);
  const queueNames = new Set(queues.names);

  async function prepare(id: string, request: RunRequest, tenant: string): Promise<PreparedRun> {
    const inputText = encoded(request.input, "input");
    const plan = planGraph(request.graph, request.input, shapes);
    if (plan.kind === "invalid") throw invalid(plan.issues);
    const issues = [...plan.steps.flatMap(({ step }) => issuesOf(step)), ...labelIssues(request)];
    if (issues.length > 0) throw invalid(issues);
    const simple = request.mode === "simple";
    const steps = simple
      ? [await simpleStep(id, plan.graph, request, tenant)]
      : await inTurns(plan.steps, (step) => prepareStep(id, step, request, tenant));
    const hook = plan.graph.on_finished;
    const stored = inputText !== null && Buffer.byteLength(inputText) > parts.inlinePayloadBytes;
    return {
      id,
      tenant,
      job: request.job,
      mode: request.mode,
      priority: runPriorityOf(request),
      inputText: stored ? null : inputText,
      inputRef: stored ? await payloads.put(id, inputText) : null,
      graphText: encodeJson(request.graph, { maxChars: parts.maxPayloadBytes }),
      labels: request.labels ?? null,
      traceContext: request.traceContext ?? null,
      parentRunId: null,
      rootRunId: id,
      deadlineMs: plan.graph.deadline_ms ?? null,
      steps,
      moreSteps: 0,
      onFinished: hook === undefined ? null : await hookStep(hook, tenant),
    };
  }

  /** What a graph by itself cannot know: the queues of this deployment. */
  function issuesOf(step: Step): GraphIssue[] {
    const definition = definitionOf(step.task);
    const queue = queueOf(step, definition);
    const at = `steps.${step.key}`;
    if (!queueNames.has(queue)) {
      return [
        { path: `${at}.queue`, message: `expected one of ${[...queueNames].join(", ")}, got ${JSON.stringify(queue)}` },
      ];
    }
    const issues: GraphIssue[] = [];
    const misplaced = wireProblem(definition, queue, queues.options(queue));
    if (misplaced !== null) issues.push({ path: `${at}.queue`, message: misplaced });
    const problem = priorityProblem(step.labels);
    if (problem !== null) issues.push({ path: `${at}.labels.${PRIORITY_TAG}`, message: problem });
    const options = queues.options(queue);
    if (step.ordering_key !== undefined && options.type !== "fifo") {
      issues.push({ path: `${at}.ordering_key`, message: `expected none, as the queue ${queue} is not a FIFO queue` });
    }
    if (step.map !== undefined && options.type === "fifo") {
      issues.push({ path: `${at}.queue`, message: "expected a standard queue, as a mapped step has no order" });
    }
    if ((definition.limits.length > 0 || step.concurrency !== undefined) && !allowsLimits(options)) {
      issues.push({
        path: `${at}.queue`,
        message: `expected a standard queue in the order "named", as the step has limits`,
      });
    }
    return issues;
  }

  function labelIssues({ labels = {} }: RunRequest): GraphIssue[] {
    const problem = priorityProblem(labels, RUN_PRIORITY_TAG);
    if (problem !== null) return [{ path: `labels.${RUN_PRIORITY_TAG}`, message: problem }];
    if (Object.keys(labels).length <= MAX_LABELS) return [];
    return [{ path: "labels", message: `expected at most ${MAX_LABELS} labels` }];
  }

  async function prepareStep(
    runId: string,
    planned: PlannedStep,
    request: RunRequest,
    tenant: string,
  ): Promise<PreparedStep> {
    const { step, refers, parents } = planned;
    const definition = definitionOf(step.task);
    const queue = queueOf(step, definition);
    const options = queues.options(queue);
    const waits = refers || step.map !== undefined;
    if (waits && definition.limits.some(({ key }) => typeof key === "function")) {
      const message = `expected no references, as the limits of ${definition.name} are made from its input. Give the step a limit of its own by concurrency.`;
      throw invalid([{ path: `steps.${step.key}.input`, message }]);
    }
    const { concurrency } = step;
    const own =
      concurrency === undefined
        ? []
        : [{ key: `steps:${tenant}:${concurrency.key}`, max: concurrency.max_running, intervalMs: null }];
    const settings = await limits.of(definition, queue, options, step.input ?? null, own);
    const text = encoded(step.input, `steps.${step.key}.input`);
    const bytes = text === null ? 0 : Buffer.byteLength(text);
    if (text !== null) parts.observer?.inputStored(bytes);
    const stored = text !== null && bytes > parts.inlinePayloadBytes;
    const id = stepIdOf(runId, step.key);
    const plan = {
      ...(waits && { refers: true as const }),
      ...(step.when !== undefined && { when: step.when }),
      ...(step.map !== undefined && { map: step.map }),
    };
    const priority = (step.priority ?? priorityTagOf(step.labels) ?? definition.priority) + runPriorityOf(request);
    return {
      key: step.key,
      task: step.task,
      queue,
      priority: Math.min(PRIORITY_LIMITS.max, Math.max(PRIORITY_LIMITS.min, priority)),
      labels: step.labels === undefined ? null : { ...request.labels, ...step.labels },
      inputText: stored ? null : text,
      inputRef: stored ? await payloads.put(id, text) : null,
      plan: Object.keys(plan).length === 0 ? null : plan,
      onParentFailure: step.on_parent_failure ?? "skip",
      parents,
      policy: policyOf(step, definition),
      group: options.type === "fifo" ? groupKeyOf(tenant, step.ordering_key ?? id) : null,
      byRank: options.order === "priority",
      limitKeys: settings.map(({ key }) => key),
    };
  }

  /** The whole run as one task. Its steps run in one process, so none of them can have one of its own. */
  async function simpleStep(runId: string, graph: Graph, request: RunRequest, tenant: string): Promise<PreparedStep> {
    const apart = graph.steps.find((step) => policyOf(step, definitionOf(step.task)).isolation !== "inline");
    if (apart !== undefined) {
      const message =
        'expected isolation "inline" in the mode simple, whose steps share one process. Run it in the mode orchestrated.';
      throw invalid([{ path: `steps.${apart.key}.isolation`, message }]);
    }
    const elsewhere = graph.steps.find((step) => definitionOf(step.task).python === true);
    if (elsewhere !== undefined) {
      const message = "expected no task that runs in Python in the mode simple. Run it in the mode orchestrated.";
      throw invalid([{ path: `steps.${elsewhere.key}.task`, message }]);
    }
    const step: Step = { key: WHOLE_RUN_KEY, task: SIMPLE_RUN_TASK, input: { run_id: runId, graph } };
    return await prepareStep(runId, { step, parents: [], refers: false }, request, tenant);
  }

  async function hookStep({ task, queue }: NonNullable<Graph["on_finished"]>, tenant: string): Promise<PreparedStep> {
    const step: Step = { key: "on_finished", task, ...(queue !== undefined && { queue }) };
    const issues = issuesOf(step);
    if (issues.length > 0) throw invalid(issues.map(({ message }) => ({ path: "on_finished.queue", message })));
    const request: RunRequest = { job: null, graph: { steps: [] }, mode: "orchestrated", input: null };
    return await prepareStep(uuidv7(), { step, parents: [], refers: false }, request, tenant);
  }

  function definitionOf(name: string): TaskDefinition {
    // Its handler is not called here.
    const simple = parts.simpleRun as TaskDefinition | undefined;
    const definition = name === simple?.name ? simple : registry.get(name);
    if (definition === undefined) {
      throw new TaskiqError("unknown_task", `task: expected the name of a task, got ${JSON.stringify(name)}.`);
    }
    return definition;
  }

  function encoded(value: unknown, at: string): string | null {
    if (value === undefined || value === null) return null;
    try {
      return encodeJson(value, { maxChars: parts.maxPayloadBytes });
    } catch (cause) {
      const message = `${at}: ${cause instanceof Error ? cause.message : String(cause)}`;
      const tooLarge = cause instanceof TaskiqError && cause.code === "payload_too_large";
      throw new TaskiqError(tooLarge ? "payload_too_large" : "input_not_storable", message, { cause });
    }
  }

  return prepare;
}

async function inTurns<In, Out>(items: readonly In[], work: (item: In) => Promise<Out>): Promise<Out[]> {
  const results: Out[] = [];
  for (let first = 0; first < items.length; first += STORED_AT_ONCE) {
    results.push(...(await Promise.all(items.slice(first, first + STORED_AT_ONCE).map(work))));
  }
  return results;
}

export function policyOf(step: Step, { policy }: TaskDefinition): TaskPolicy {
  const { retry = {} } = step;
  return {
    timeoutMs: step.timeout_ms ?? policy.timeoutMs,
    graceMs: step.grace_ms ?? policy.graceMs,
    maxAttempts: retry.max_attempts ?? policy.maxAttempts,
    backoffMs: retry.backoff_ms ?? policy.backoffMs,
    maxBackoffMs: retry.max_backoff_ms ?? policy.maxBackoffMs,
    maxLosses: policy.maxLosses,
    onLost: step.on_lost ?? policy.onLost,
    // A command is a process of its own whatever a step says.
    isolation: policy.isolation === "command" ? "command" : (step.isolation ?? policy.isolation),
  };
}

function queueOf(step: Step, definition: TaskDefinition): string {
  return step.queue ?? queueTagOf(step.labels) ?? definition.queue;
}

function runPriorityOf({ priority, labels }: RunRequest): number {
  return priority ?? priorityTagOf(labels, RUN_PRIORITY_TAG) ?? 0;
}

function invalid(issues: readonly GraphIssue[]): TaskiqError {
  const bounded = boundIssues(issues);
  return new TaskiqError("graph_invalid", inWords(bounded), { details: { issues: bounded } });
}
