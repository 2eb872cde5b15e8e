/**
 * The AWS provider of every resource. It is set up by the stack's `aws:` keys, like the default one, endpoints of an
 * emulator included; that it is made here gives every resource the tags by which bills and clean-ups find the stack.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import type { Account } from "./statement.ts";

export function createProvider(tags: Readonly<Record<string, string>>): aws.Provider {
  return new aws.Provider("aws", {
    ...settings(),
    defaultTags: { tags: { ...settings().defaultTags?.tags, ...tags } },
  });
}

/** The tags of every resource. */
export function stackTags(): Readonly<Record<string, string>> {
  return { Project: pulumi.getProject(), Stack: pulumi.getStack(), ManagedBy: "pulumi" };
}

/** Where the provider deploys to. */
export function accountOf(provider: aws.Provider): Account {
  return {
    accountId: aws.getCallerIdentityOutput({}, { provider }).accountId,
    region: aws.getRegionOutput({}, { provider }).id,
    partition: aws.getPartitionOutput({}, { provider }).partition,
  };
}

/** What `aws:` keys say, under the names that the provider's arguments have. */
function settings(): aws.ProviderArgs & { readonly defaultTags?: { readonly tags?: Record<string, string> } } {
  return Object.fromEntries(Object.entries(aws.config).filter(([, value]) => value !== undefined));
}
