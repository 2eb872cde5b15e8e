/** Who may do what: each role's statements, said by the resources themselves. */
import type { Cluster } from "./cluster.ts";
import type { DatabaseLike } from "./existing-database.ts";
import type { ImageLike } from "./image.ts";
import type { PayloadBucket } from "./payload-bucket.ts";
import type { Queues } from "./queues.ts";
import type { ServiceLog } from "./service-log.ts";
import type { Statement } from "./statement.ts";

type Parts = {
  readonly queues: Queues;
  readonly payloads: PayloadBucket;
  readonly database: DatabaseLike;
  readonly cluster: Cluster;
};

/** The API and the executor loops: announce, tell depths, redrive, cancel, keep and delete payloads, and scale where that is theirs. */
export function apiStatements(
  { queues, payloads, database, cluster }: Parts,
  scaledService: string | null,
): Statement[] {
  const taskQueues = queues.members.map(({ queue }) => queue);
  return [
    ...[...taskQueues, ...queues.deadLetters].flatMap((queue) => [queue.sendStatement(), queue.depthStatement()]),
    payloads.readStatement(),
    payloads.writeStatement(),
    payloads.writeResultsStatement(),
    // Workers of Python leave theirs there.
    ...(queues.members.some(isPython) ? payloads.collectResultsStatements() : []),
    payloads.deleteStatement(),
    payloads.listStatement(),
    database.connectStatement(),
    // Redrives; and cancels for those who may only send to a queue.
    ...queues.deadLetters.map((queue) => queue.redriveStatement()),
    // The doctor, who is run in the API's container, looks at its settings.
    ...(queues.cancel === null ? [] : [queues.cancel.takeStatement(), queues.cancel.depthStatement()]),
    ...(scaledService === null ? [] : [cluster.scaleStatement(scaledService)]),
  ];
}

/** Workers: take messages, send them again or to the dead letters, read and write payloads, ask for protection. */
export function workerStatements({ queues, payloads, database, cluster }: Parts): Statement[] {
  return [
    ...queues.members.filter((member) => !isPython(member)).map(({ queue }) => queue.consumeStatement()),
    // For who waited at a limit, and a copy of a doorbell that was received too often; those of a FIFO queue wait in their group.
    ...queues.members.filter(({ settings }) => settings.type === "standard").map(({ queue }) => queue.sendStatement()),
    ...queues.deadLetters.map((queue) => queue.sendStatement()),
    payloads.readStatement(),
    ...payloads.readExtendedStatements(),
    payloads.writeStatement(),
    payloads.listStatement(),
    database.connectStatement(),
    cluster.protectStatement(),
  ];
}

/** Its messages are whole tasks, for workers that are none of ours. */
const isPython = ({ settings }: Queues["members"][number]): boolean => settings.runtime.wire === "taskiq";

/** What starts containers: pull the images, write their lines. It hands no secret over: they read theirs themselves. */
export function executionStatements(images: readonly ImageLike[], logs: readonly ServiceLog[]): Statement[] {
  return [...merged(images.flatMap((image) => image.pullStatements())), ...logs.map((log) => log.writeStatement())];
}

/** Every image says the same of its own repository: one statement for all of them. */
function merged(statements: readonly Statement[]): Statement[] {
  const bySid = new Map<string, Statement>();
  for (const statement of statements) {
    const resources = [...(bySid.get(statement.Sid)?.Resource ?? []), ...statement.Resource];
    bySid.set(statement.Sid, { ...statement, Resource: [...new Set(resources)] });
  }
  return [...bySid.values()];
}
