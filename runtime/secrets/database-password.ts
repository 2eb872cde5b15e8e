/** The password of the configured database, for every process that connects to it. */
import type { AwsConfig, DatabaseConfig } from "../config.ts";
import { type Password, rotatingPassword } from "../postgres/password.ts";
import { openPasswordSecret } from "./secrets-manager.ts";

/** Undefined when the credentials are in the database's URL. */
export function databasePassword({ secretArn }: DatabaseConfig, aws: AwsConfig): Password | undefined {
  if (secretArn === null) return undefined;
  const place = { region: aws.region, ...(aws.endpointUrl !== null && { endpoint: aws.endpointUrl }) };
  return rotatingPassword(openPasswordSecret({ ...place, arn: secretArn }));
}
