/**
 * Two rules of IAM that this emulator knows otherwise than AWS. The stack's policies are AWS's; so that the containers can be run
 * under them, each role gets, for as long as the test lasts, the same rights once more in the emulator's words.
 *
 *   AWS                                             the emulator
 *   sqs:SendMessage allows SendMessageBatch         asks for sqs:SendMessageBatch (and so for each batch action)
 *   ecs:UpdateService is checked on the service     is checked on the cluster that the request names
 */
import { type Deployment, roleOf } from "./deployment.ts";
import { query } from "./emulated-aws.ts";

type Statement = { readonly Effect: string; readonly Action: string | string[]; readonly Resource: string | string[] };

const VERSION = "2010-05-08";
const POLICY = "words-of-the-emulator";
const BATCHES = ["sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];

/** Gives what takes the rights away again, which a removal of the roles needs. */
export async function grantInEmulatorsWords(deployment: Deployment): Promise<() => Promise<void>> {
  const roles = await Promise.all([roleOf(deployment, "api"), roleOf(deployment, "worker")]);
  const names = roles.map((arn) => arn.split("/").at(-1) ?? "");
  for (const RoleName of names) {
    const Statement = (await statementsOf(RoleName)).flatMap(translate);
    const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
    await query("iam", VERSION, "PutRolePolicy", { RoleName, PolicyName: POLICY, PolicyDocument });
  }
  return async () => {
    for (const RoleName of names) await query("iam", VERSION, "DeleteRolePolicy", { RoleName, PolicyName: POLICY });
  };
}

/** What a statement allows, in the words of the emulator; nothing where they are AWS's. */
export function translate(statement: Statement): Statement[] {
  const actions = [statement.Action].flat();
  const resources = [statement.Resource].flat();
  const batches = actions.filter((action) => BATCHES.includes(action)).map((action) => `${action}Batch`);
  const onServices = actions.filter((action) => action.startsWith("ecs:"));
  const clusters = resources.flatMap((arn) => {
    const [, start, cluster] = /^(arn:.*:)(?:service|task)\/([^/]+)\//.exec(arn) ?? [];
    return start === undefined ? [] : [`${start}cluster/${cluster}`];
  });
  return [
    ...(batches.length > 0 ? [{ Effect: "Allow", Action: batches, Resource: resources }] : []),
    ...(onServices.length > 0 && clusters.length > 0
      ? [{ Effect: "Allow", Action: onServices, Resource: clusters }]
      : []),
  ];
}

async function statementsOf(RoleName: string): Promise<readonly Statement[]> {
  const listed = await query("iam", VERSION, "ListRolePolicies", { RoleName });
  const names = [...listed.matchAll(/<member>([^<]+)<\/member>/g)].map((match) => match[1] ?? "");
  const documents = await Promise.all(
    names.map(async (PolicyName) => {
      const answer = await query("iam", VERSION, "GetRolePolicy", { RoleName, PolicyName });
      const encoded = /<PolicyDocument>([^<]*)</.exec(answer)?.[1] ?? "";
      // IAM gives the document that the stack made, percent-encoded.
      return JSON.parse(decodeURIComponent(encoded)) as { Statement: Statement[] };
    }),
  );
  return documents.flatMap(({ Statement }) => Statement);
}
