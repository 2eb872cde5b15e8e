/** What an error of SQS or S3 means for whoever set the account up. */
import { describeError } from "../../describe-error.ts";
import { NoAnswer } from "./bounded.ts";
import { type Finding, fail } from "./finding.ts";

/** `actions`: what the role has to be allowed; `name`: the variable that names the thing. */
export function describeAwsFailure(
  check: string,
  error: unknown,
  { actions, name }: { readonly actions: string; readonly name: string },
): Finding {
  const cause = rootOf(error);
  const { type, message, code = "" } = describeError(cause);
  const told = `${type === "Error" || message.startsWith(type) ? "" : `${type}: `}${message.replace(/\.$/, "")}.`;
  if (cause instanceof NoAnswer || /timeout/i.test(type)) {
    return fail(check, told, "Check AWS_ENDPOINT_URL, AWS_REGION, the network and the endpoint's security group.");
  }
  if (/NonExistentQueue|QueueDoesNotExist|NoSuchBucket|NotFound/.test(`${type} ${code}`)) {
    return fail(check, told, `It does not exist: create it, or correct ${name} and AWS_REGION.`);
  }
  if (/AccessDenied|Forbidden|403/.test(`${type} ${code}`)) {
    return fail(check, told, `Allow the role ${actions} on it.`);
  }
  if (/Credentials|InvalidClientTokenId|UnrecognizedClient|ExpiredToken|Signature/.test(`${type} ${code}`)) {
    return fail(check, told, "Give valid AWS credentials: a role, AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret.");
  }
  if (code === "ECONNREFUSED") {
    return fail(check, told, "Nothing listens there: start that service, or correct AWS_ENDPOINT_URL.");
  }
  return fail(check, told, `Check ${name}, AWS_ENDPOINT_URL, AWS_REGION and the network.`);
}

/** The adapters put what they were told into an error of their own. */
function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < 3 && root instanceof Error && root.cause !== undefined; depth++) root = root.cause;
  return root;
}
