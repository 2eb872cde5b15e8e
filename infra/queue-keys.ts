/**
 * The list of queues as it is written in the stack file, and what the runtime is told of each. What the runtime would refuse is refused here, by the
 * runtime's own rules; places in the payload bucket are held to those that its policy lets in.
 */
import { z } from "zod";
import { HOME_TENANT, TENANT_NAME, TENANT_NAME_RULE } from "../runtime/access/scope.ts";
import { DEFAULT_QUEUE_OPTIONS, EXCLUSIONS, PLACE_IN_BUCKET, type QueueOptions } from "../runtime/model/queue.ts";
import { RESULT_PREFIX } from "./payload-prefixes.ts";

const queueName = "up to 40 lower-case letters, digits and hyphens that start with a letter";
export const visibilitySeconds = z.int().min(0).max(43_200);
export const retentionSeconds = z.int().min(60).max(1_209_600);
export const maxReceiveCount = z.int().min(1).max(1_000);
const QUEUE_FIELDS = {
  name: `expected ${queueName}`,
  type: "expected standard or fifo",
  fair: "expected true or false",
  visibilitySeconds: "expected an integer from 0 to 43200",
  retentionSeconds: "expected an integer from 60 to 1209600",
  maxReceiveCount: "expected an integer from 1 to 1000",
  order: "expected named or priority",
  delayByPriority: "expected true or false",
  weight: "expected an integer from 1 to 100",
  maxSlots: "expected an integer from 1 to 1000",
  maxRunning: "expected an integer from 1",
  perSecond: "expected a number above 0",
  accepts: "expected an object with tasks, tenant and extendedPrefix, each if at all",
  results: `expected an object with basePath, such as {basePath: ${RESULT_PREFIX}NAME}`,
  wire: "expected doorbell or taskiq",
};
const TASK_NAMES = "expected a list of names of tasks, each of up to 200 characters, or nothing for all";
const EXTENDED_RULE =
  "expected nothing, or a place in the payload bucket that ends in a slash, such as large/, and not v1/";
const RESULT_RULE = `expected ${RESULT_PREFIX.slice(0, -1)} or a place under it, such as ${RESULT_PREFIX}NAME: the bucket takes results nowhere else`;

/** A star would be a wildcard in the policies made of it. */
const isPlace = (text: string) => PLACE_IN_BUCKET.test(text) && !text.includes("*");
/** As the runtime takes it: with or without slashes at its end. */
const bare = (basePath: string) => basePath.replace(/\/+$/, "");

/** With the defaults of the runtime, so that what it is told is whole. */
const acceptsShape = z.strictObject(
  {
    tasks: z
      .array(z.string(TASK_NAMES).min(1, TASK_NAMES).max(200, TASK_NAMES), TASK_NAMES)
      .min(1, TASK_NAMES)
      .nullable()
      .default(null),
    tenant: z.string(TENANT_NAME_RULE).regex(TENANT_NAME, TENANT_NAME_RULE).default(HOME_TENANT),
    extendedPrefix: z
      .string(EXTENDED_RULE)
      .refine((text) => text === "" || (isPlace(text) && text.endsWith("/")), EXTENDED_RULE)
      .default(""),
  },
  QUEUE_FIELDS.accepts,
);

const resultsShape = z.strictObject(
  {
    basePath: z
      .string(RESULT_RULE)
      .refine((text) => isPlace(text) && `${bare(text)}/`.startsWith(RESULT_PREFIX), RESULT_RULE),
  },
  QUEUE_FIELDS.results,
);

/** A queue as it is written in the stack file. */
const queueShape = z.strictObject(
  {
    name: z.string(QUEUE_FIELDS.name).regex(/^[a-z][a-z0-9-]{0,39}$/, QUEUE_FIELDS.name),
    type: z.enum(["standard", "fifo"], QUEUE_FIELDS.type).default("standard"),
    fair: z.boolean(QUEUE_FIELDS.fair).default(false),
    visibilitySeconds: visibilitySeconds.optional(),
    retentionSeconds: retentionSeconds.optional(),
    maxReceiveCount: maxReceiveCount.optional(),
    order: z.enum(["named", "priority"], QUEUE_FIELDS.order).optional(),
    delayByPriority: z.boolean(QUEUE_FIELDS.delayByPriority).optional(),
    weight: z.int(QUEUE_FIELDS.weight).min(1, QUEUE_FIELDS.weight).max(100, QUEUE_FIELDS.weight).optional(),
    maxSlots: z.int(QUEUE_FIELDS.maxSlots).min(1, QUEUE_FIELDS.maxSlots).max(1_000, QUEUE_FIELDS.maxSlots).optional(),
    maxRunning: z.int(QUEUE_FIELDS.maxRunning).min(1, QUEUE_FIELDS.maxRunning).optional(),
    perSecond: z.number(QUEUE_FIELDS.perSecond).positive(QUEUE_FIELDS.perSecond).optional(),
    accepts: acceptsShape.optional(),
    results: resultsShape.optional(),
    wire: z.enum(["doorbell", "taskiq"], QUEUE_FIELDS.wire).optional(),
  },
  {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `expected only ${Object.keys(QUEUE_FIELDS).join(", ")}`
        : "expected an object",
  },
);

export const queuesShape = z
  .array(queueShape)
  .min(1)
  .superRefine((queues, context) => {
    const complain = (path: (string | number)[], message: string) =>
      context.addIssue({ code: "custom", path, message });
    if (!queues.some(({ name, type }) => name === "default" && type === "standard")) {
      complain([], 'expected a standard queue named "default"');
    }
    for (const [index, queue] of queues.entries()) {
      const { name } = queue;
      if (queues.findIndex((one) => one.name === name) !== index)
        complain([index, "name"], "expected a name no other queue has");
      if (name === "cancel" || name.startsWith("dead-letter"))
        complain([index, "name"], "expected none of the stack's own names");
      for (const { applies, option, expected } of EXCLUSIONS) {
        if (applies({ ...DEFAULT_QUEUE_OPTIONS, ...given(queue) })) complain([index, option], expected);
      }
      if (!hasOwnPlace(queue, queues)) complain([index, "results", "basePath"], OWN_PLACE_RULE);
    }
    for (const type of ["standard", "fifo"]) {
      // SQS names no more sources in one redrive allow policy.
      if (queues.filter((one) => one.type === type).length > 10)
        complain([], `expected at most 10 queues of type ${type}`);
    }
  });

const OWN_PLACE_RULE = `expected a place under ${RESULT_PREFIX} that no other queue has, such as ${RESULT_PREFIX}NAME, as its workers write results there and find large messages in ${RESULT_PREFIX}NAME-extended`;

/** Workers of Python share no place with others: who may write there decides what becomes of the tasks. */
function hasOwnPlace(queue: z.infer<typeof queueShape>, queues: readonly z.infer<typeof queueShape>[]): boolean {
  if (queue.wire !== "taskiq" || queue.results === undefined) return true;
  const own = bare(queue.results.basePath);
  // Large messages are beside the results, which for the prefix itself would be outside of it.
  if (!own.startsWith(RESULT_PREFIX)) return false;
  const places = queues.flatMap((one) =>
    one === queue || one.results === undefined ? [] : bare(one.results.basePath),
  );
  return !places.some((place) => place === own || place === `${own}-extended`);
}

/** What the runtime is told of a queue besides where it is: no more than was given. */
export function given(queue: z.infer<typeof queueShape>): Partial<QueueOptions> {
  const {
    name: _name,
    visibilitySeconds: _hidden,
    retentionSeconds: _kept,
    maxReceiveCount: _most,
    ...options
  } = queue;
  // Without those that were left out, which would win over the defaults.
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
