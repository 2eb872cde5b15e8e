/** Answers in place of services that an emulator lacks. */
import type { AwsAnswer, AwsCall } from "../support/aws-proxy.ts";

type Answer = (call: AwsCall) => AwsAnswer | null;

/** ECS with one service, which has no tasks until somebody asks for some. */
export function ecs(): Answer {
  let desiredCount = 0;
  return (call) => {
    if (!isFor(call, "AmazonEC2ContainerService")) return null;
    const { desiredCount: asked } = JSON.parse(call.body) as { desiredCount?: number };
    if (call.operation === "UpdateService") desiredCount = asked ?? desiredCount;
    const deployments = [{ status: "PRIMARY", rolloutState: "COMPLETED" }];
    const service = { status: "ACTIVE", desiredCount, runningCount: desiredCount, pendingCount: 0, deployments };
    return json(call.operation === "UpdateService" ? { service } : { services: [service], failures: [] });
  };
}

/** Secrets Manager with one secret. */
export function secret(arn: string, value: string): Answer {
  return (call) => {
    if (!isFor(call, "secretsmanager")) return null;
    const { SecretId } = JSON.parse(call.body) as { SecretId?: string };
    if (SecretId !== arn)
      return { ...json({ __type: "ResourceNotFoundException", message: String(SecretId) }), status: 400 };
    return json({ ARN: arn, SecretString: value });
  };
}

/** The first that has an answer. */
export function either(...answers: readonly Answer[]): Answer {
  return (call) => answers.reduce<AwsAnswer | null>((found, answer) => found ?? answer(call), null);
}

function isFor({ headers }: AwsCall, service: string): boolean {
  return String(headers["x-amz-target"] ?? "").startsWith(service);
}

function json(body: object): AwsAnswer {
  return { status: 200, headers: { "content-type": "application/x-amz-json-1.1" }, body: JSON.stringify(body) };
}
