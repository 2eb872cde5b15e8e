/** The stack's database: made, or one that exists. */
import type * as pulumi from "@pulumi/pulumi";
import type { StackConfig } from "./config.ts";
import { Database } from "./database.ts";
import { type DatabaseLike, existingDatabase } from "./existing-database.ts";

export type DatabasePlace = {
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly securityGroupId: pulumi.Input<string>;
};

const POSTGRES_PORT = 5_432;

export function databasePort({ databaseUrl }: Pick<StackConfig, "databaseUrl">): number {
  const port = databaseUrl === null ? "" : new URL(databaseUrl).port;
  return port === "" ? POSTGRES_PORT : Number(port);
}

export function createDatabase(
  name: string,
  config: StackConfig,
  place: DatabasePlace,
  opts: pulumi.ComponentResourceOptions,
): DatabaseLike {
  const { databaseUrl: url, databaseSecretArn: secretArn } = config;
  if (url !== null && secretArn !== null) return existingDatabase(name, { url, secretArn });
  return new Database(
    name,
    {
      identifier: config.prefix,
      subnetIds: place.subnetIds,
      securityGroupIds: [place.securityGroupId],
      instanceClass: config.databaseInstanceClass,
      storageGb: config.databaseStorageGb,
      maxStorageGb: config.databaseMaxStorageGb,
      multiAz: config.databaseMultiAz,
      backupDays: config.databaseBackupDays,
      engineVersion: config.databaseEngineVersion,
      deletionProtection: config.protect,
      ...(config.databasePassword !== null && { password: config.databasePassword }),
      tls: config.databaseTls,
      logRetentionDays: config.logRetentionDays,
    },
    opts,
  );
}
