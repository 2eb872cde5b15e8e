/**
 * The free emulators of AWS that the `localstack` stack can be deployed to, how each is started, and what it lacks.
 * All of them listen on one port. The list of what is missing was measured for MiniStack; for Floci it is what its
 * documentation says.
 */

export type EmulatorName = "ministack" | "ministack-pip" | "floci";

export type Emulator = {
  readonly title: string;
  /** Whether it starts containers for ECS tasks and databases. Without, a deployment is made of records only. */
  readonly runsContainers: boolean;
  /** The image, for those that run as a container. */
  readonly image?: string;
  /** Its variables; `network` is the one that the containers it starts are to be on. */
  readonly env?: (network: string) => Readonly<Record<string, string>>;
  /** Variables with which it checks signatures and policies, for those that can. */
  readonly enforceIam?: Readonly<Record<string, string>>;
  /** Arguments of the container engine besides. */
  readonly runArgs?: readonly string[];
  /** The package and its command, for those that run as a process. */
  readonly pip?: { readonly requirement: string; readonly command: string };
  readonly lacks: readonly string[];
};

const MINISTACK_LACKS = [
  "Application Auto Scaling: the stack scales by its built-in scaler instead",
  "health checks: every target is healthy at once, so a roll-out shows a 502 for a moment",
  "dependsOn of containers, CPU and memory limits, task protection",
  "metrics of SQS, ECS and the load balancer",
  "managed database passwords, a database certificate that can be verified",
];

/** With these keys it lets everything through, as an account's root does. */
const MINISTACK_IAM = { AUTH: "true", AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test" };

export const EMULATORS: Readonly<Record<EmulatorName, Emulator>> = {
  ministack: {
    title: "MiniStack in a container",
    runsContainers: true,
    image: "ministackorg/ministack:1.5.33",
    env: (network) => ({ DOCKER_NETWORK: network, MINISTACK_DOCKER_TIMEOUT: "60" }),
    enforceIam: MINISTACK_IAM,
    lacks: [...MINISTACK_LACKS, "stopTimeout: a stopped task is killed after 5 s, and its work starts again elsewhere"],
  },
  "ministack-pip": {
    title: "MiniStack as a Python process",
    runsContainers: false,
    pip: { requirement: "ministack[full]==1.5.33", command: "ministack" },
    enforceIam: MINISTACK_IAM,
    lacks: ["containers: the stack is created, but neither tasks nor database run", ...MINISTACK_LACKS],
  },
  floci: {
    title: "Floci in a container",
    runsContainers: true,
    image: "floci/floci:latest",
    env: (network) => ({ FLOCI_DEFAULT_REGION: "us-east-1", FLOCI_SERVICES_ECS_DOCKER_NETWORK: network }),
    runArgs: ["--user", "root"],
    lacks: [
      "the load balancer's path on the one port: it opens a port of its own, so set localUrl to where that is published",
      "dashboards, composite alarms, metrics of SQS, ECS and the load balancer",
      "overlapping deployments: a service stops its old tasks first",
      "it has not been tried with this stack",
    ],
  },
};

export const DEFAULT_EMULATOR: EmulatorName = "ministack";

export function isEmulatorName(name: string): name is EmulatorName {
  return Object.hasOwn(EMULATORS, name);
}
