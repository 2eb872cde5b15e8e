/** Postgres on RDS: private, encrypted, and reached with credentials that only Secrets Manager knows. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { managedSecret, ownSecret } from "./database-credentials.ts";
import { databaseParameters } from "./database-parameters.ts";
import { connectStatement, type DatabaseLike } from "./existing-database.ts";
import type { Statement } from "./statement.ts";

export type DatabaseArgs = {
  /** Name of the instance: 1 to 52 lower-case letters, digits and hyphens. Fixed, because its log group's name has it. */
  readonly identifier: string;
  /** Subnets of at least two availability zones, without a way to the internet. */
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly securityGroupIds: pulumi.Input<pulumi.Input<string>[]>;
  /** For example `db.t4g.small`. */
  readonly instanceClass: string;
  /** GiB at first; gp3 has at least 20. */
  readonly storageGb: number;
  /** GiB to which RDS may grow the storage by itself; at least a tenth more than `storageGb`. */
  readonly maxStorageGb: number;
  /** A standby in a second zone, which takes over by itself. */
  readonly multiAz: boolean;
  /** 0..35 days of backups for recovery to any point in time; 0 turns them off. */
  readonly backupDays: number;
  /** Postgres 15 or later: a major version such as `17`, of which RDS installs the newest minor one, or an exact one. */
  readonly engineVersion: string;
  /** Refuses deletion, keeps backups and takes a last snapshot. Changes then wait for the maintenance window. */
  readonly deletionProtection: boolean;
  /** Only for emulators that manage none: RDS keeps the password secret and rotates it every 7 days. */
  readonly password?: pulumi.Input<string>;
  /** `disable` also admits connections without TLS. */
  readonly tls: "verify-full" | "disable";
  /** Days that Postgres's log is kept: a value that CloudWatch Logs knows, such as 30. */
  readonly logRetentionDays: number;
};

const USERNAME = "taskiq";
const DATABASE = "taskiq";

export class Database extends pulumi.ComponentResource implements DatabaseLike {
  readonly url: pulumi.Output<string>;
  readonly secretArn: pulumi.Output<string>;
  readonly instanceId: pulumi.Output<string>;
  readonly #name: string;

  constructor(name: string, args: DatabaseArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Database", name, {}, opts);
    const child = { parent: this };
    this.#name = name;
    const major = majorOf(name, args.engineVersion);
    const subnetGroup = new aws.rds.SubnetGroup(
      name,
      { description: "Where the database may be.", subnetIds: args.subnetIds },
      child,
    );
    const parameters = databaseParameters({ major, tls: args.tls });
    const parameterGroup = new aws.rds.ParameterGroup(
      name,
      { description: "Postgres for the task table.", family: `postgres${major}`, parameters },
      child,
    );
    // Made before RDS makes them, which would keep every line for ever.
    const logGroups = LOGS.map(
      (log) =>
        new aws.cloudwatch.LogGroup(
          `${name}-${log}`,
          { name: `/aws/rds/instance/${args.identifier}/${log}`, retentionInDays: args.logRetentionDays },
          child,
        ),
    );
    const isProtected = args.deletionProtection;
    const instance = new aws.rds.Instance(
      name,
      {
        identifier: args.identifier,
        engine: "postgres",
        engineVersion: args.engineVersion,
        autoMinorVersionUpgrade: true,
        // Only ever by a new engineVersion in the configuration.
        allowMajorVersionUpgrade: true,
        instanceClass: args.instanceClass,
        multiAz: args.multiAz,
        storageType: "gp3",
        allocatedStorage: args.storageGb,
        maxAllocatedStorage: args.maxStorageGb,
        storageEncrypted: true,
        dbName: DATABASE,
        username: USERNAME,
        ...(args.password === undefined
          ? { manageMasterUserPassword: true }
          : { password: pulumi.secret(args.password) }),
        port: 5432,
        publiclyAccessible: false,
        dbSubnetGroupName: subnetGroup.name,
        vpcSecurityGroupIds: args.securityGroupIds,
        parameterGroupName: parameterGroup.name,
        caCertIdentifier: "rds-ca-rsa2048-g1",
        backupRetentionPeriod: args.backupDays,
        backupWindow: "03:00-04:00",
        maintenanceWindow: "sun:04:30-sun:05:30",
        copyTagsToSnapshot: true,
        enabledCloudwatchLogsExports: LOGS,
        performanceInsightsEnabled: true,
        performanceInsightsRetentionPeriod: 7,
        deletionProtection: isProtected,
        deleteAutomatedBackups: !isProtected,
        skipFinalSnapshot: !isProtected,
        ...(isProtected ? { finalSnapshotIdentifier: `${args.identifier}-final` } : {}),
        applyImmediately: !isProtected,
      },
      { parent: this, dependsOn: logGroups, ...(isProtected ? { protect: true } : {}) },
    );
    this.instanceId = instance.identifier;
    this.url = pulumi.interpolate`postgres://${USERNAME}@${instance.address}:${instance.port}/${DATABASE}?sslmode=${args.tls}`;
    const credentials = { username: USERNAME, recoveryWindowInDays: isProtected ? 7 : 0 };
    this.secretArn =
      args.password === undefined
        ? managedSecret(instance)
        : ownSecret(name, { ...credentials, password: args.password }, child);
    this.registerOutputs({ url: this.url, secretArn: this.secretArn, instanceId: this.instanceId });
  }

  /** Reads the credentials: at every connection, because RDS rotates them. */
  connectStatement(): Statement {
    return connectStatement(this.#name, this.secretArn);
  }
}

const LOGS = ["postgresql", "upgrade"];

function majorOf(name: string, engineVersion: string): number {
  const major = Number(/^(\d+)(?:\.\d+)*$/.exec(engineVersion)?.[1]);
  if (!(major >= 15)) {
    throw new Error(
      `database "${name}": expected an engine version of Postgres 15 or later, got "${engineVersion}". ` +
        'Use a major version such as "17", or an exact one such as "17.6".',
    );
  }
  return major;
}
