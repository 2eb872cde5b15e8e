/** What a deployment that nothing was done to yet promises: it is what the program says, it runs, under its own roles. */

import { Problem } from "../../deploy/problem.ts";
import { followTasks, submitSleep, waitForApi } from "../../deploy/sleep-tasks.ts";
import { type Deployment, roleOf, sayChanges } from "./deployment.ts";
import { json, query } from "./emulated-aws.ts";
import { expect, expectEqual } from "./steps.ts";

const READY_MS = 120_000;
const STRANGER = { accessKeyId: "AKIANOBODYKNOWSTHIS0", secretAccessKey: "nothing" };

/** An action that the role must have, or must not have, on any resource of its kind in this account. */
type Right = { readonly role: "api" | "worker"; readonly action: string; readonly allowed: boolean };

const RIGHTS: readonly Right[] = [
  { role: "api", action: "sqs:SendMessage", allowed: true },
  { role: "api", action: "sqs:ReceiveMessage", allowed: false },
  { role: "api", action: "sqs:DeleteMessage", allowed: false },
  { role: "worker", action: "sqs:ReceiveMessage", allowed: true },
  { role: "worker", action: "sqs:DeleteQueue", allowed: false },
  { role: "worker", action: "sqs:PurgeQueue", allowed: false },
];

export async function runningClaims(deployment: Deployment): Promise<void> {
  const { steps, stack, url, cluster, services } = deployment;

  await steps.step("a second preview shows no changes", async () => {
    expectEqual(sayChanges(await stack.changes()), [], "changes");
    return undefined;
  });

  await steps.must("the API answers through the load balancer", async () => {
    await waitForApi(url, READY_MS);
    return url;
  });

  await steps.step("the emulator refuses keys that it does not know", async () => {
    const answer = await json("sqs", "AmazonSQS.ListQueues", {}, STRANGER).catch((error: Problem) => error);
    expect(
      answer instanceof Problem && /40[03]/.test(answer.message),
      `expected a refusal, got ${JSON.stringify(answer)}`,
    );
    return undefined;
  });

  await steps.step("each service runs under a role of its own, which may do its work and no more", async () => {
    const roles = { api: await roleOf(deployment, "api"), worker: await roleOf(deployment, "worker") };
    expect(roles.api !== roles.worker, `expected two roles, got ${roles.api} for both`);
    const queue = await defaultQueueArn();
    for (const { role, action, allowed } of RIGHTS) {
      const answer = await query("iam", "2010-05-08", "SimulatePrincipalPolicy", {
        PolicySourceArn: roles[role],
        "ActionNames.member.1": action,
        "ResourceArns.member.1": queue,
      });
      const decision = /<EvalDecision>(\w+)</.exec(answer)?.[1];
      expectEqual(decision, allowed ? "allowed" : "implicitDeny", `${action} on ${queue} by ${role}`);
    }
    return Object.values(roles)
      .map((arn) => arn.split("/").at(-1))
      .join(", ");
  });

  await steps.must("tasks sent to the load balancer are done by worker containers", async () => {
    const ids = await Promise.all([1, 1, 2].map((seconds) => submitSleep(url, seconds)));
    const ended = await followTasks(url, ids, READY_MS);
    expectEqual(
      ended.map(({ state }) => state),
      ["succeeded", "succeeded", "succeeded"],
      "states",
    );
    const [worker] = await cluster.tasks(services.worker);
    return `${ended[0]?.worker} in ${worker?.taskArn?.split("/").at(-1)}`;
  });
}

async function defaultQueueArn(): Promise<string> {
  const { QueueUrls } = await json("sqs", "AmazonSQS.ListQueues");
  const url = Array.isArray(QueueUrls) ? QueueUrls.map(String).find((one) => one.endsWith("-default")) : undefined;
  if (url === undefined) throw new Problem(`No queue ends with -default: ${JSON.stringify(QueueUrls)}`);
  const [account, name] = url.split("/").slice(-2);
  return `arn:aws:sqs:us-east-1:${account}:${name}`;
}
