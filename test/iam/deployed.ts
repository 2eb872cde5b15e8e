/** What the infrastructure program would give each role: its environment and its policy, and the resources these name. */
import { deployProgram } from "../infra/program.ts";
import { ACCOUNT, PARTITION, REGION } from "../infra/support.ts";
import type { Place } from "./permissions.ts";

export type Environment = Readonly<Record<string, string>>;

export type DeployedQueue = {
  readonly name: string;
  /** As SQS's CreateQueue takes them. */
  readonly attributes: Readonly<Record<string, string>>;
};

export type DeployedStack = {
  readonly place: Place;
  readonly migrate: Environment;
  readonly api: Environment;
  readonly worker: Environment;
  readonly policies: { readonly api: string; readonly worker: string };
  /** Dead-letter queues first: the others name them. */
  readonly queues: readonly DeployedQueue[];
  readonly bucket: string;
  readonly bucketPolicy: string;
  readonly secretArn: string;
  /** Services of AWS that the containers reach, as in `com.amazonaws.us-east-1.sqs`. */
  readonly endpoints: readonly string[];
};

/** A queue of each type, two of the one that is polled, and the scaler that needs permissions. */
const CONFIG = {
  queues: [{ name: "default" }, { name: "tenants", fair: true }, { name: "ordered", type: "fifo" }],
  scalingDriver: "builtin",
  // Without a way out, so that what is called needs an endpoint as well.
  natGateways: "none",
  image: "taskiq-aws:local",
  // Emulators speak plain HTTP, which a protected stack refuses.
  protect: false,
  tlsOnly: false,
};

export async function deployedStack(): Promise<DeployedStack> {
  const program = await deployProgram(CONFIG, { stack: "grants" });
  const policy = (role: string) => String(program.find("aws:iam/rolePolicy:RolePolicy", role).inputs.policy);
  const environment = (service: string, container: string): Environment => {
    const { containerDefinitions } = program.find("aws:ecs/taskDefinition:TaskDefinition", service).inputs;
    const containers = JSON.parse(String(containerDefinitions)) as ContainerDefinition[];
    const found = containers.find(({ name }) => name === container);
    if (found === undefined) throw new Error(`expected a container ${container} in the task of ${service}`);
    return Object.fromEntries(found.environment.map(({ name, value }) => [name, value]));
  };
  const queues = program.all("aws:sqs/queue:Queue").map(({ inputs }) => ({
    name: String(inputs.name),
    attributes: {
      ...(inputs.fifoQueue === true && { FifoQueue: "true" }),
      ...(inputs.visibilityTimeoutSeconds !== undefined && {
        VisibilityTimeout: String(inputs.visibilityTimeoutSeconds),
      }),
      ...(inputs.redrivePolicy !== undefined && { RedrivePolicy: String(inputs.redrivePolicy) }),
      Policy: String(inputs.policy),
    },
  }));
  const api = environment("api", "api");
  return {
    place: { partition: PARTITION, region: REGION, accountId: ACCOUNT },
    migrate: environment("api", "migrate"),
    api,
    worker: environment("worker", "worker"),
    policies: { api: policy("api"), worker: policy("worker") },
    queues: queues.sort((a, b) => Number("RedrivePolicy" in a.attributes) - Number("RedrivePolicy" in b.attributes)),
    bucket: String(api.TASKIQ_S3_BUCKET),
    bucketPolicy: String(program.find("aws:s3/bucketPolicy:BucketPolicy").inputs.policy),
    secretArn: String(api.TASKIQ_DATABASE_SECRET_ARN),
    endpoints: program.all("aws:ec2/vpcEndpoint:VpcEndpoint").map(({ inputs }) => String(inputs.serviceName)),
  };
}

/** The same stack with other names, such as those that an emulator gives. */
export function renamed(stack: DeployedStack, names: Readonly<Record<string, string>>): DeployedStack {
  const text = Object.entries(names).reduce((json, [from, to]) => json.replaceAll(from, to), JSON.stringify(stack));
  return JSON.parse(text) as DeployedStack;
}

type ContainerDefinition = { readonly name: string; readonly environment: readonly { name: string; value: string }[] };
