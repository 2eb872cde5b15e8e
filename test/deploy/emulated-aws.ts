/**
 * The API of the emulator, for looking at what a deployment made. Services whose SDK client is not installed are asked by
 * plain requests, signed with the signer of one that is.
 */
import {
  DescribeServicesCommand,
  DescribeTaskDefinitionCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  type Service,
  StopTaskCommand,
  type Task,
} from "@aws-sdk/client-ecs";
import { EMULATOR_URL } from "../../deploy/emulator.ts";
import { Problem } from "../../deploy/problem.ts";

export const REGION = "us-east-1";

export type Keys = { readonly accessKeyId: string; readonly secretAccessKey: string };

/** The one key that an emulator with IAM does not ask policies for. */
export const ROOT: Keys = { accessKeyId: "test", secretAccessKey: "test" };

/** What an SDK's signer takes and gives; the SDK's own classes are not part of its interface. */
type Signer = { sign(request: object, options: object): Promise<{ headers: Record<string, string> }> };

type Ask = {
  readonly service: string;
  readonly path?: string;
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly keys?: Keys;
};

/** Throws Problem unless the answer is a success. Gives its text. */
export async function ask({
  service,
  path = "/",
  method = "POST",
  headers,
  body = "",
  keys = ROOT,
}: Ask): Promise<string> {
  const { hostname, port, host } = new URL(EMULATOR_URL);
  const client = new ECSClient({ region: REGION, credentials: keys });
  // Only the signer of this client is used; its type is the union of every way of authentication.
  const signer = (await client.config.signer({
    schemeId: "aws.auth#sigv4",
    signingProperties: {},
    identity: keys,
    name: "sigv4",
    signingName: service,
    signingRegion: REGION,
    properties: {},
  } as never)) as unknown as Signer;
  const request = {
    method,
    protocol: "http:",
    hostname,
    port: Number(port),
    path,
    query: {},
    headers: { ...headers, host },
    body,
  };
  const signed = await signer.sign(request, { signingService: service, signingRegion: REGION });
  const response = await fetch(`${EMULATOR_URL}${path}`, {
    method,
    headers: signed.headers,
    ...(method === "GET" ? {} : { body }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Problem(`${service} answered ${response.status}: ${text.slice(0, 500)}`);
  return text;
}

/** An action of a service that is spoken to in forms and answers in XML. */
export function query(
  service: string,
  version: string,
  action: string,
  parameters: Readonly<Record<string, string>> = {},
  keys: Keys = ROOT,
): Promise<string> {
  const body = new URLSearchParams({ Action: action, Version: version, ...parameters }).toString();
  return ask({ service, headers: { "content-type": "application/x-www-form-urlencoded" }, body, keys });
}

/** An action of a service that is spoken to in JSON. */
export async function json(
  service: string,
  target: string,
  input: object = {},
  keys: Keys = ROOT,
): Promise<Record<string, unknown>> {
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": target };
  // The services answer with one object.
  return JSON.parse(await ask({ service, headers, body: JSON.stringify(input), keys })) as Record<string, unknown>;
}

export type Cluster = {
  service(name: string): Promise<Service>;
  /** Of the service's task definition, now. */
  images(name: string): Promise<readonly string[]>;
  /** The tasks that run. */
  tasks(service: string): Promise<readonly Task[]>;
  stop(task: string, reason: string): Promise<void>;
  taskDefinition(arn: string): Promise<{ readonly images: readonly string[]; readonly taskRole: string }>;
};

export function openCluster(cluster: string): Cluster {
  // StopTask answers once the task has stopped, which may be after its whole grace period.
  const ecs = new ECSClient({
    region: REGION,
    endpoint: EMULATOR_URL,
    credentials: ROOT,
    requestHandler: { requestTimeout: 180_000 },
  });

  async function service(name: string): Promise<Service> {
    const { services = [] } = await ecs.send(new DescribeServicesCommand({ cluster, services: [name] }));
    const [found] = services;
    if (found === undefined) throw new Problem(`The cluster ${cluster} has no service ${name}.`);
    return found;
  }

  async function taskDefinition(arn: string): Promise<{ images: readonly string[]; taskRole: string }> {
    const { taskDefinition: found } = await ecs.send(new DescribeTaskDefinitionCommand({ taskDefinition: arn }));
    return {
      images: found?.containerDefinitions?.map(({ image }) => image ?? "") ?? [],
      taskRole: found?.taskRoleArn ?? "",
    };
  }

  return {
    service,
    taskDefinition,
    async images(name) {
      return (await taskDefinition((await service(name)).taskDefinition ?? "")).images;
    },
    async tasks(serviceName) {
      const { taskArns = [] } = await ecs.send(new ListTasksCommand({ cluster, serviceName }));
      if (taskArns.length === 0) return [];
      const { tasks = [] } = await ecs.send(new DescribeTasksCommand({ cluster, tasks: taskArns }));
      return tasks.filter(({ lastStatus }) => lastStatus === "RUNNING");
    },
    async stop(task, reason) {
      await ecs.send(new StopTaskCommand({ cluster, task, reason }));
    },
  };
}
