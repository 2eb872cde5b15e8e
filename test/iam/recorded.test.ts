/** The policies that the infrastructure generates allow what the roles do, and nothing else. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { CreateQueueCommand, SQSClient } from "@aws-sdk/client-sqs";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { startSystem } from "../support/system.ts";
import { compare, type Grant, grantsOf } from "./compare.ts";
import { type DeployedStack, deployedStack } from "./deployed.ts";
import { exceptionsOf } from "./exceptions.ts";
import type { Recorder } from "./recorder.ts";
import { credentialsOf, play } from "./scenario.ts";
import { ecs, either, secret } from "./stand-ins.ts";

const ANY = { accessKeyId: "test", secretAccessKey: "test" };

let stack: DeployedStack;
beforeAll(async () => {
  stack = await deployedStack();
});

describe("a role", () => {
  it("may do exactly what it was seen to do", { timeout: 180_000 }, async ({ annotate }) => {
    const system = await startSystem();
    onTestFinished(system.stop);
    await provision(system.aws.endpoint);
    const recording = await play({
      system,
      stack,
      endpoint: system.aws.endpoint,
      keys: { root: ANY, api: ANY, worker: ANY },
      answer: either(ecs(), secret(stack.secretArn, credentialsOf(system.databaseUrl))),
      onFinished: onTestFinished,
    });
    const { worker, doctor } = recording;
    // The doctor is run in the API's container, with its role.
    const api = { ...recording.api, permissions: [...recording.api.permissions, ...doctor.permissions] };
    await annotate(`${api.permissions.length} permissions used by the API, ${worker.permissions.length} by the worker`);

    expect({ api: api.refused, worker: worker.refused, doctor: doctor.refused }).toEqual({
      api: [],
      worker: [],
      doctor: [],
    });
    expect({ api: misfits("api", api), worker: misfits("worker", worker) }).toEqual({ api: [], worker: [] });
    for (const role of ["api", "worker"] as const) {
      const grants = grantsOf(stack.policies[role]);
      for (const grant of grants) {
        const without = grants.filter((one) => one !== grant);
        expect(
          misfits(role, { api, worker }[role], without),
          `${role} without ${grant.action} on ${grant.resource}`,
        ).not.toEqual([]);
        const wider = { ...grant, resource: grant.resource.replace(/[^:/]+$/, "*") };
        if (wider.resource === grant.resource) continue;
        expect(misfits(role, { api, worker }[role], [...without, wider]), `${role} with ${wider.resource}`).not.toEqual(
          [],
        );
      }
      for (const action of [
        "sqs:PurgeQueue",
        "s3:DeleteObject",
        "sqs:ReceiveMessage",
        "ecs:UpdateService",
        "sqs:GetQueueAttributes",
      ]) {
        const [{ resource }] = grants as [Grant];
        const more = [...grants, { action, resource: `${resource}-other`, condition: {} }];
        expect(misfits(role, { api, worker }[role], more), `${role} with ${action} besides`).not.toEqual([]);
      }
    }
    const called = new Set([...api.permissions, ...worker.permissions].map(({ action }) => action.split(":")[0]));
    expect([...called].sort()).toEqual(["ecs", "s3", "secretsmanager", "sqs"]);
    expect(stack.endpoints).toEqual(
      expect.arrayContaining([...called].map((service) => `com.amazonaws.${stack.place.region}.${service}`)),
    );
    // The doctor may be run in the API's container.
    expect([...new Set(doctor.permissions.map(({ action }) => action))].sort()).toEqual([
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:PutObject",
      "secretsmanager:GetSecretValue",
      "sqs:GetQueueAttributes",
    ]);
    expect(misfits("api", doctor).filter((line) => line.startsWith("not allowed"))).toEqual([]);
  });
});

function misfits(
  role: "api" | "worker",
  { permissions }: Pick<Recorder, "permissions">,
  grants = grantsOf(stack.policies[role]),
): string[] {
  return compare({
    permissions,
    grants,
    exceptions: exceptionsOf(role, stack.place),
    context: { "aws:ResourceAccount": stack.place.accountId },
  });
}

async function provision(endpoint: string): Promise<void> {
  const place = { region: stack.place.region, endpoint, credentials: ANY };
  const sqs = new SQSClient(place);
  for (const { name, attributes } of stack.queues) {
    const { Policy: _, RedrivePolicy: __, ...known } = attributes;
    await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: known }));
  }
  await new S3Client({ ...place, forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: stack.bucket }));
}
