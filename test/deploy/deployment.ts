/** A deployed stack as the claims use it. */
import type { ContainerEngine } from "../../deploy/container-engine.ts";
import { Problem } from "../../deploy/problem.ts";
import type { PulumiStack, Step } from "../../deploy/pulumi-cli.ts";
import type { Settings } from "../../deploy/stack-settings.ts";
import { type Cluster, openCluster } from "./emulated-aws.ts";
import type { Steps } from "./steps.ts";

export type Deployment = {
  readonly engine: ContainerEngine;
  readonly steps: Steps;
  readonly stack: PulumiStack;
  readonly settings: Settings;
  /** Where the load balancer is reached. */
  readonly url: string;
  readonly cluster: Cluster;
  readonly services: { readonly api: string; readonly worker: string };
};

export async function describeDeployment(
  parts: Pick<Deployment, "engine" | "steps" | "stack" | "settings">,
): Promise<Deployment> {
  const outputs = await parts.stack.outputs();
  const text = (name: string): string => {
    const value = outputs[name];
    if (typeof value === "string" && value !== "") return value;
    throw new Problem(`The stack has no output ${name}: ${JSON.stringify(outputs)}`);
  };
  return {
    ...parts,
    url: text("localUrl"),
    cluster: openCluster(text("clusterName")),
    services: { api: text("apiServiceName"), worker: text("workerServiceName") },
  };
}

/** Steps as text: what is done to which type of which name. */
export function sayChanges(steps: readonly Step[]): readonly string[] {
  return steps.map(({ op, urn, diffReasons = [] }) => {
    const [, , type = "", name = ""] = urn.split("::");
    const what = `${op} ${type.split("$").at(-1)} ${name}`;
    return diffReasons.length === 0 ? what : `${what} (${diffReasons.join(", ")})`;
  });
}

/** The ARN of the role that the containers of a service run under. */
export async function roleOf({ cluster, services }: Deployment, service: "api" | "worker"): Promise<string> {
  const { taskDefinition = "" } = await cluster.service(services[service]);
  return (await cluster.taskDefinition(taskDefinition)).taskRole;
}
