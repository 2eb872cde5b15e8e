/** The worker service on Amazon ECS. */
import { DescribeServicesCommand, ECSClient, type Service, UpdateServiceCommand } from "@aws-sdk/client-ecs";
import { TaskiqError } from "../errors.ts";
import type { WorkerService } from "./worker-service.ts";

export type EcsOptions = {
  readonly region: string;
  /** Where requests go, for example `http://localhost:4566`. Default: AWS. */
  readonly endpoint?: string;
  /** Default: the SDK's chain of environment, profile, container and instance role. */
  readonly credentials?: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  };
  /** Name or ARN. */
  readonly cluster: string;
  /** Name or ARN. */
  readonly service: string;
  /** One try: the head of the answer, and then any silence in its body. Default 3,000 ms. A call is tried up to three times. */
  readonly requestTimeoutMs?: number;
};

export type EcsWorkerService = WorkerService & {
  /** Closes the connections. */
  close(): void;
};

const ATTEMPTS = 3;
const CONNECT_TIMEOUT_MS = 2_000;
const REQUEST_TIMEOUT_MS = 3_000;
const SILENT = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Nothing is sent before the first call. Needs `ecs:DescribeServices` and `ecs:UpdateService` on that one service. */
export function openWorkerService(options: EcsOptions): EcsWorkerService {
  const { cluster, service, requestTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const client = new ECSClient({
    region: options.region,
    maxAttempts: ATTEMPTS,
    // Its hints would go to the console between log lines.
    logger: SILENT,
    requestHandler: {
      connectionTimeout: CONNECT_TIMEOUT_MS,
      requestTimeout: requestTimeoutMs,
      // Without it the SDK only writes a warning and goes on waiting.
      throwOnRequestTimeout: true,
      // The request timeout ends with the head of the answer.
      socketTimeout: requestTimeoutMs,
    },
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });

  async function read(): Promise<Service> {
    const answer = await client.send(new DescribeServicesCommand({ cluster, services: [service] }));
    const [found] = answer.services ?? [];
    if (found === undefined) throw new Error(answer.failures?.[0]?.reason ?? "an answer without the service");
    if (found.status !== "ACTIVE") throw new Error(`a service with status ${found.status ?? "unknown"}`);
    return found;
  }

  function unavailable(what: string, cause: unknown): TaskiqError {
    const got = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
    return new TaskiqError(
      "scaling_unavailable",
      `expected to ${what} of ECS service "${service}" in cluster "${cluster}", got ${got}. ` +
        "Check both names, the region, the network and the permissions.",
      { cause },
    );
  }

  return {
    async describe() {
      try {
        const found = await read();
        const deployments = found.deployments ?? [];
        return {
          desired: counted(found.desiredCount, "desiredCount"),
          running: counted(found.runningCount, "runningCount"),
          pending: counted(found.pendingCount, "pendingCount"),
          deploying: deployments.length > 1 || deployments.some(({ rolloutState }) => rolloutState === "IN_PROGRESS"),
        };
      } catch (error) {
        throw unavailable("read the counts", error);
      }
    },

    async setDesired(count) {
      if (!Number.isInteger(count) || count < 0) throw new RangeError(`expected a count of workers, got ${count}`);
      try {
        await client.send(new UpdateServiceCommand({ cluster, service, desiredCount: count }));
      } catch (error) {
        throw unavailable(`set the desired count to ${count}`, error);
      }
    },

    close: () => client.destroy(),
  };
}

/** A count that is absent is not zero: it would start a fleet anew or end one. */
function counted(value: number | undefined, name: string): number {
  if (value === undefined) throw new Error(`an answer without ${name}`);
  return value;
}
