/** A container as a task definition has it. Every one is shut in the same way; they differ in what they run. */
import * as pulumi from "@pulumi/pulumi";
import { type Environment, STOP_SECONDS } from "./environment.ts";
import type { ServiceLog } from "./service-log.ts";

export type Container = {
  readonly name: string;
  readonly image: pulumi.Input<string>;
  readonly environment: Environment;
  readonly log: ServiceLog;
  /** The task ends when an essential container does. */
  readonly essential: boolean;
  /** A container that has to succeed first. */
  readonly after?: string;
  /** What it listens on. */
  readonly port?: number;
  /** The address of a GET that answers 2xx while the container is alive. */
  readonly livenessUrl?: string;
};

/** How long a container may take that another one waits for: the longest that Fargate has. */
const START_SECONDS = 120;
/** The one place that can be written; in memory of the host, gone with the task. */
export const SCRATCH = "scratch";

/** The JSON of a task definition's containers, in the form that AWS gives it back, so that a preview shows no change. */
export function containerDefinitions(containers: readonly Container[]): pulumi.Output<string> {
  return pulumi.jsonStringify(containers.map(definition));
}

function definition(container: Container) {
  const { name, image, environment, log, essential, after, port, livenessUrl } = container;
  const variables = Object.entries(environment).filter(([, value]) => value !== undefined);
  return {
    name,
    image,
    essential,
    environment: variables.map(([key, value]) => ({ name: key, value })).toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ...(after !== undefined && { dependsOn: [{ containerName: after, condition: "SUCCESS" }] }),
    ...(!essential && { startTimeout: START_SECONDS }),
    stopTimeout: STOP_SECONDS,
    portMappings: port === undefined ? [] : [{ containerPort: port, hostPort: port, protocol: "tcp" }],
    ...(livenessUrl !== undefined && { healthCheck: healthCheck(livenessUrl) }),
    user: "65532:65532",
    readonlyRootFilesystem: true,
    mountPoints: [{ sourceVolume: SCRATCH, containerPath: "/tmp", readOnly: false }],
    // An init process reaps what tasks in their own process leave behind, and passes signals on.
    linuxParameters: { initProcessEnabled: true, capabilities: { add: [], drop: ["ALL"] } },
    logConfiguration: {
      logDriver: "awslogs",
      options: {
        "awslogs-group": log.logGroupName,
        "awslogs-region": log.region,
        "awslogs-stream-prefix": name,
        // Work goes on while CloudWatch is away; lines beyond the buffer are lost then.
        mode: "non-blocking",
        "max-buffer-size": "25m",
      },
    },
    systemControls: [],
    volumesFrom: [],
  };
}

/** The image has no shell tools to ask with, but it has Node, whose `http` costs half the CPU time of its `fetch`. */
function healthCheck(url: string) {
  const ask = `require("node:http").get("${url}", (answer) => process.exit(answer.statusCode === 200 ? 0 : 1)).on("error", () => process.exit(1))`;
  return { command: ["CMD", "node", "-e", ask], interval: 15, timeout: 5, retries: 3, startPeriod: 60 };
}
