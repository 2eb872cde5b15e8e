/** What the services need of a database, and the form of it for one that exists already, which makes no resources. */
import * as pulumi from "@pulumi/pulumi";
import { type Statement, sid } from "./statement.ts";

/** What the services need of a database, whoever made it. */
export type DatabaseLike = {
  /** `postgres://user@host:port/name?sslmode=…`, without a password. */
  readonly url: pulumi.Output<string>;
  /** The secret with `{"username": …, "password": …}`. */
  readonly secretArn: pulumi.Output<string>;
  /** The RDS instance to watch, or null where there is none. */
  readonly instanceId: pulumi.Output<string> | null;
  connectStatement(): Statement;
};

/**
 * A database that somebody else runs. `url` names the user and no password, which is in the secret, as `password`
 * beside `username`. Where the secret's key is your own, the key's policy must let the task roles decrypt. `instanceId`
 * names the RDS instance to watch, if any.
 */
export function existingDatabase(
  name: string,
  given: { url: pulumi.Input<string>; secretArn: pulumi.Input<string>; instanceId?: pulumi.Input<string> },
): DatabaseLike {
  const secretArn = pulumi.output(given.secretArn);
  return {
    url: pulumi.output(given.url),
    secretArn,
    instanceId: given.instanceId === undefined ? null : pulumi.output(given.instanceId),
    connectStatement: () => connectStatement(name, secretArn),
  };
}

export function connectStatement(name: string, secretArn: pulumi.Output<string>): Statement {
  return {
    Sid: sid("ConnectTo", name),
    Effect: "Allow",
    Action: ["secretsmanager:GetSecretValue"],
    Resource: [secretArn],
  };
}
