/** Stands between one role and AWS, and keeps which permissions its calls needed. */
import { type AwsAnswer, type AwsCall, startAwsProxy } from "../support/aws-proxy.ts";
import { type Permission, type Place, permissionsOf } from "./permissions.ts";

export type Recorder = {
  readonly endpoint: string;
  readonly permissions: readonly Permission[];
  /** Calls that were refused for want of a permission, or for which none is known. */
  readonly refused: readonly string[];
  /** Whether the role was seen to do this, with a resource that ends so. */
  did(action: string, ending?: string): boolean;
  close(): Promise<void>;
};

/** @param answer answers itself what the target does not know; null forwards the call */
export async function startRecorder(
  target: string,
  place: Place,
  answer: (call: AwsCall) => AwsAnswer | null = () => null,
): Promise<Recorder> {
  const proxy = await startAwsProxy(target);
  const permissions: Permission[] = [];
  const refused: string[] = [];

  function keep(call: AwsCall, given: AwsAnswer): AwsAnswer {
    try {
      permissions.push(...permissionsOf(call, given, place));
    } catch (error) {
      refused.push(String(error));
    }
    const isRefused = given.status === 401 || given.status === 403 || /AccessDenied|NotAuthorized/.test(errorOf(given));
    if (isRefused) refused.push(`${call.operation} ${call.path}: ${given.status} ${given.body.slice(0, 300)}`);
    return given;
  }

  proxy.treat((call) => {
    const own = answer(call);
    return own === null
      ? { kind: "change", change: (given) => keep(call, given) }
      : { kind: "answer", answer: keep(call, own) };
  });
  return {
    endpoint: proxy.endpoint,
    permissions,
    refused,
    did: (action, ending = "") => permissions.some((one) => one.action === action && one.resource.endsWith(ending)),
    close: proxy.close,
  };
}

function errorOf({ status, body }: AwsAnswer): string {
  return status >= 400 ? body : "";
}
