/**
 * What a role may do, said by the resource it may do it with. Every resource of the program has methods that return
 * statements; a role is given those it needs and nothing is written by hand, so no grant is wider than its resource.
 */
import * as pulumi from "@pulumi/pulumi";

/** Where the program deploys to. Names of resources are fixed, so their ARNs are known from this before they exist. */
export type Account = {
  readonly accountId: pulumi.Input<string>;
  readonly region: pulumi.Input<string>;
  /** `aws`, `aws-cn` or `aws-us-gov`. */
  readonly partition: pulumi.Input<string>;
};

/** Operator, then condition key, then one value or several of which any may match. */
export type Condition = Readonly<
  Record<string, Readonly<Record<string, pulumi.Input<string> | readonly pulumi.Input<string>[]>>>
>;

/** One permission of a role. */
export type Statement = {
  /** Letters and digits (IAM allows nothing else); unique in its document. */
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Action: readonly string[];
  readonly Resource: readonly pulumi.Input<string>[];
  readonly Condition?: Condition;
};

/** The policy document, as JSON, of a role's statements. Throws when two of them have one Sid: IAM would refuse it. */
export function policyDocument(statements: readonly Statement[]): pulumi.Output<string> {
  const sids = statements.map(({ Sid }) => Sid);
  const repeated = sids.find((sid, index) => sids.indexOf(sid) !== index);
  if (repeated !== undefined) {
    throw new Error(
      `expected statements with different Sids, got "${repeated}" twice. Pass each resource's statement once.`,
    );
  }
  return pulumi.jsonStringify({ Version: "2012-10-17", Statement: statements });
}

/** A Sid that says what is allowed on what: `sid("SendTo", "dead-letter.fifo")` is `SendToDeadLetterFifo`. */
export function sid(verb: string, name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return verb + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}
