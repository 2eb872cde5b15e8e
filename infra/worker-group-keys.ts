/** Further worker services as they are written in the stack file. What has to hold between them and other keys is in worker-group-rules.ts. */
import { z } from "zod";

const FIELDS = {
  name: "expected up to 20 lower-case letters, digits and hyphens that start with a letter and end without a hyphen",
  queues: "expected a list of names of queues, one or more, each once",
  slots: "expected an integer from 1 to 1000",
  cpu: "expected CPU units that Fargate has, from 256 to 16384",
  memory: "expected MiB that Fargate has, from 512 to 122880",
  image: "expected the name of an image",
  commands: "expected true or false",
  count: "expected an integer from 0 to 1000",
};

const groupShape = z.strictObject(
  {
    name: z.string(FIELDS.name).regex(/^[a-z](?:[a-z0-9-]{0,18}[a-z0-9])?$/, FIELDS.name),
    queues: z
      .array(z.string(FIELDS.queues), FIELDS.queues)
      .min(1, FIELDS.queues)
      .refine((names) => new Set(names).size === names.length, FIELDS.queues),
    slots: z.int(FIELDS.slots).min(1, FIELDS.slots).max(1_000, FIELDS.slots).optional(),
    cpu: z.int(FIELDS.cpu).min(256, FIELDS.cpu).max(16_384, FIELDS.cpu).optional(),
    memory: z.int(FIELDS.memory).min(512, FIELDS.memory).max(122_880, FIELDS.memory).optional(),
    image: z
      .string(FIELDS.image)
      .regex(/^[\w.:/@-]{1,500}$/, FIELDS.image)
      .optional(),
    commands: z.boolean(FIELDS.commands).default(false),
    count: z.int(FIELDS.count).min(0, FIELDS.count).max(1_000, FIELDS.count).default(1),
  },
  {
    error: (issue) =>
      issue.code === "unrecognized_keys" ? `expected only ${Object.keys(FIELDS).join(", ")}` : "expected an object",
  },
);

export const workerGroupsShape = z.array(groupShape).superRefine((groups, context) => {
  const complain = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", path, message });
  for (const [index, { name, queues }] of groups.entries()) {
    const before = groups.slice(0, index);
    if (before.some((one) => one.name === name)) complain([index, "name"], "expected a name no other group has");
    for (const [place, queue] of queues.entries()) {
      const other = before.find((one) => one.queues.includes(queue));
      if (other !== undefined)
        complain([index, "queues", place], `expected a queue of one group only, and ${other.name} has ${queue}`);
    }
  }
});
