/** What has to hold between groups of workers and the other keys of the configuration, and what follows for the first worker service. */
import type { Values } from "./config-keys.ts";
import type { Rule } from "./config-rule.ts";
import { CPUS, fargateFits, fargateMemory } from "./fargate-size.ts";

/** The queues that workers of ours serve. */
function servedQueues({ queues }: Pick<Values, "queues">): string[] {
  return queues.filter(({ wire }) => wire !== "taskiq").map(({ name }) => name);
}

/** Those of them that no group has, which the first worker service serves. */
export function remainingQueues(values: Pick<Values, "queues" | "workerGroups">): string[] {
  return servedQueues(values).filter((name) => !values.workerGroups.some(({ queues }) => queues.includes(name)));
}

/** CPU units and MiB of a task of the group, which has the size of the other workers where it does not say. */
export function sizeOfGroup(
  { cpu, memory }: Values["workerGroups"][number],
  { workerCpu, workerMemory }: Pick<Values, "workerCpu" | "workerMemory">,
): { readonly cpu: number; readonly memory: number } {
  return { cpu: cpu ?? workerCpu, memory: memory ?? workerMemory };
}

const unknownQueueOf = (values: Values) =>
  values.workerGroups.flatMap(({ queues }) => queues).find((name) => !servedQueues(values).includes(name));

const misfitOf = (values: Values) =>
  values.workerGroups
    .map((group) => ({ name: group.name, ...sizeOfGroup(group, values) }))
    .find(({ cpu, memory }) => !CPUS.includes(cpu) || !fargateFits(cpu, memory));

export const GROUP_RULES: readonly Rule[] = [
  {
    name: "workerGroups",
    reads: ["queues"],
    holds: (values) => unknownQueueOf(values) === undefined,
    expected: (values) =>
      `queues that workers of ours serve (${servedQueues(values).join(", ")}), which ${unknownQueueOf(values)} is not`,
    hint: "Correct the name or add the queue; those with wire taskiq are served by workers of Python.",
  },
  {
    name: "workerGroups",
    reads: ["queues"],
    holds: (values) => values.workerGroups.length === 0 || remainingQueues(values).length > 0,
    expected: () => "groups that leave a queue to the first worker service",
    hint: "Take a queue out of its group; the keys worker… are for the queues that no group has.",
  },
  {
    name: "workerGroups",
    reads: ["workerCpu", "workerMemory"],
    holds: (values) => misfitOf(values) === undefined,
    expected: (values) => {
      const { name, cpu } = misfitOf(values)!; // the rule does not hold
      return CPUS.includes(cpu)
        ? `for ${name} a memory of ${fargateMemory(cpu)}`
        : `for ${name} a cpu out of ${CPUS.join(", ")}, which is what Fargate has`;
    },
    hint: "What a group leaves out is that of workerCpu and workerMemory.",
  },
  {
    name: "workerMin",
    reads: ["workerGroups", "scalingDriver"],
    holds: ({ workerMin, workerGroups, scalingDriver }) =>
      workerMin > 0 || workerGroups.length === 0 || scalingDriver === "off",
    expected: () => "at least 1, as there are workerGroups",
    hint: "The first worker is started when there is none at all, and workers of a group are some.",
  },
];
