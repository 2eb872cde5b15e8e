import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";
import { Database, type DatabaseArgs } from "../../infra/database.ts";
import { databaseParameters } from "../../infra/database-parameters.ts";
import { existingDatabase } from "../../infra/existing-database.ts";
import { maxConnections, maxCredits, memoryBytes } from "../../infra/instance-class.ts";
import { readConnectionString } from "../../runtime/postgres/connection-string.ts";
import { deploy, resolved } from "./support.ts";

const INSTANCE = "aws:rds/instance:Instance";
const LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup";

const made = (args: Partial<DatabaseArgs> = {}) =>
  deploy(() => {
    const database = new Database("database", {
      identifier: "taskiq-test",
      subnetIds: ["subnet-a", "subnet-b"],
      securityGroupIds: ["sg-database"],
      instanceClass: "db.t4g.small",
      storageGb: 20,
      maxStorageGb: 100,
      multiAz: true,
      backupDays: 14,
      engineVersion: "17",
      deletionProtection: true,
      tls: "verify-full",
      logRetentionDays: 30,
      ...args,
    });
    return {
      url: database.url,
      secretArn: database.secretArn,
      instanceId: database.instanceId,
      grant: database.connectStatement(),
    };
  });

const password = pulumi.secret("correct horse battery");

describe("a protected database", () => {
  it("is made with exactly these settings", async () => {
    const { find } = await made();
    expect(find(INSTANCE).inputs).toEqual({
      identifier: "taskiq-test",
      engine: "postgres",
      engineVersion: "17",
      autoMinorVersionUpgrade: true,
      allowMajorVersionUpgrade: true,
      instanceClass: "db.t4g.small",
      multiAz: true,
      storageType: "gp3",
      allocatedStorage: 20,
      maxAllocatedStorage: 100,
      storageEncrypted: true,
      dbName: "taskiq",
      username: "taskiq",
      manageMasterUserPassword: true,
      port: 5432,
      publiclyAccessible: false,
      dbSubnetGroupName: "database-abc1234",
      vpcSecurityGroupIds: ["sg-database"],
      parameterGroupName: "database-abc1234",
      caCertIdentifier: "rds-ca-rsa2048-g1",
      backupRetentionPeriod: 14,
      backupWindow: "03:00-04:00",
      maintenanceWindow: "sun:04:30-sun:05:30",
      copyTagsToSnapshot: true,
      enabledCloudwatchLogsExports: ["postgresql", "upgrade"],
      performanceInsightsEnabled: true,
      performanceInsightsRetentionPeriod: 7,
      deletionProtection: true,
      deleteAutomatedBackups: false,
      skipFinalSnapshot: false,
      finalSnapshotIdentifier: "taskiq-test-final",
      applyImmediately: false,
    });
    expect(find("aws:rds/subnetGroup:SubnetGroup").inputs).toEqual({
      description: "Where the database may be.",
      subnetIds: ["subnet-a", "subnet-b"],
    });
  });

  it("cannot be deleted by the program, whatever protects the component", async () => {
    expect((await made()).find(INSTANCE).options.protect).toBe(true);
    expect((await made({ deletionProtection: false })).find(INSTANCE).options.protect).toBeUndefined();
  });

  it("has a password that only RDS and Secrets Manager know, and a URL without one", async () => {
    const { all, outputs } = await made();
    expect(all("aws:secretsmanager/secret:Secret")).toEqual([]);
    expect(outputs.secretArn).toBe("arn:aws:secretsmanager:us-east-1:111122223333:secret:rds!db-1234-AbCdEf");
    expect(outputs.url).toBe(
      "postgres://taskiq@taskiq-test.abc.us-east-1.rds.amazonaws.com:5432/taskiq?sslmode=verify-full",
    );
    expect(readConnectionString(outputs.url).ssl).toEqual({ rejectUnauthorized: true });
    expect(outputs.instanceId).toBe("taskiq-test");
  });

  it("has its log groups first, so that RDS does not make them without retention", async () => {
    const { all, find } = await made();
    expect(all(LOG_GROUP).map(({ inputs }) => inputs)).toEqual([
      { name: "/aws/rds/instance/taskiq-test/postgresql", retentionInDays: 30 },
      { name: "/aws/rds/instance/taskiq-test/upgrade", retentionInDays: 30 },
    ]);
    expect(find(INSTANCE).options.dependsOn).toHaveLength(2);
  });

  it("grants the reading of its one secret", async () => {
    const { outputs } = await made();
    expect(await resolved(outputs.grant)).toEqual({
      Sid: "ConnectToDatabase",
      Effect: "Allow",
      Action: ["secretsmanager:GetSecretValue"],
      Resource: ["arn:aws:secretsmanager:us-east-1:111122223333:secret:rds!db-1234-AbCdEf"],
    });
  });
});

describe("a database that nothing protects", () => {
  it("leaves nothing behind and changes at once", async () => {
    const { inputs } = (await made({ deletionProtection: false, tls: "disable" })).find(INSTANCE);
    expect(inputs).toMatchObject({
      deletionProtection: false,
      deleteAutomatedBackups: true,
      skipFinalSnapshot: true,
      applyImmediately: true,
    });
    expect(inputs).not.toHaveProperty("finalSnapshotIdentifier");
  });
});

describe("a given password", () => {
  it("stays a secret in every input, and reaches the services as a secret of the shape that RDS makes", async () => {
    const { find, outputs, resources } = await made({ password, deletionProtection: false, tls: "disable" });
    const instance = find(INSTANCE);
    expect(instance.inputs).not.toHaveProperty("manageMasterUserPassword");
    expect(instance.inputs.password).toBe("correct horse battery");
    expect(instance.secretInputs).toEqual(["password"]);
    expect(find("aws:secretsmanager/secret:Secret").inputs).toEqual({
      description: "User name and password of the database.",
      recoveryWindowInDays: 0,
    });
    const version = find("aws:secretsmanager/secretVersion:SecretVersion");
    expect(version.secretInputs).toEqual(["secretString"]);
    expect(JSON.parse(String(version.inputs.secretString))).toEqual({
      username: "taskiq",
      password: "correct horse battery",
    });
    expect(outputs.url).toMatch(/^postgres:\/\/taskiq@taskiq-test\.[^@]*\?sslmode=disable$/);
    const plain = resources.flatMap(({ inputs, secretInputs }) =>
      Object.entries(inputs).filter(([key]) => !secretInputs.includes(key)),
    );
    expect(JSON.stringify(plain)).not.toContain("correct horse");
  });

  it("is secret even when it was given plain", async () => {
    const { find } = await made({ password: "plain", deletionProtection: false });
    expect(find(INSTANCE).secretInputs).toEqual(["password"]);
    expect(find("aws:secretsmanager/secretVersion:SecretVersion").secretInputs).toEqual(["secretString"]);
  });

  it("can be had back for a week where the database is protected", async () => {
    const { find } = await made({ password });
    expect(find("aws:secretsmanager/secret:Secret").inputs.recoveryWindowInDays).toBe(7);
  });
});

describe("the engine", () => {
  it.each([
    ["15", "postgres15"],
    ["17.6", "postgres17"],
    ["18", "postgres18"],
  ])("%s has the parameter family %s", async (engineVersion, family) => {
    const { find } = await made({ engineVersion });
    expect(find("aws:rds/parameterGroup:ParameterGroup").inputs).toMatchObject({
      family,
      description: "Postgres for the task table.",
    });
    expect(find(INSTANCE).inputs.engineVersion).toBe(engineVersion);
  });

  it.each(["14.9", "latest", "", "017x"])("refuses %j before any resource is asked for", async (engineVersion) => {
    await expect(made({ engineVersion })).rejects.toThrow(
      `database "database": expected an engine version of Postgres 15 or later, got "${engineVersion}".`,
    );
  });
});

describe("the parameters", () => {
  // From the user guide's table of RDS for PostgreSQL parameters, and pg_settings for the two that it leaves out.
  const DYNAMIC = new Set([
    "autovacuum_analyze_scale_factor",
    "autovacuum_naptime",
    "autovacuum_vacuum_cost_limit",
    "autovacuum_vacuum_scale_factor",
    "idle_in_transaction_session_timeout",
    "jit",
    "log_autovacuum_min_duration",
    "log_connections",
    "log_disconnections",
    "log_lock_waits",
    "log_min_duration_statement",
    "log_temp_files",
    "random_page_cost",
    "rds.force_ssl",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "track_io_timing",
  ]);

  it("are all dynamic, so that they may be applied at once", () => {
    const parameters = databaseParameters({ major: 17, tls: "verify-full" });
    expect(new Set(parameters.map(({ name }) => name))).toEqual(DYNAMIC);
    expect(new Set(parameters.map(({ applyMethod }) => applyMethod))).toEqual(new Set(["immediate"]));
  });

  it("come in one order, so that a plan never shows them as changed", () => {
    const names = databaseParameters({ major: 17, tls: "verify-full" }).map(({ name }) => name);
    expect(names).toEqual([...names].sort());
  });

  it.each([
    ["verify-full", "1"],
    ["disable", "0"],
  ] as const)("with TLS %s have rds.force_ssl %s", async (tls, value) => {
    const { find } = await made({ tls });
    expect(find("aws:rds/parameterGroup:ParameterGroup").inputs.parameters).toContainEqual({
      name: "rds.force_ssl",
      value,
      applyMethod: "immediate",
    });
  });

  it("name what to log of a connection since Postgres 18, where it is no switch any more", () => {
    const value = (major: number) =>
      databaseParameters({ major, tls: "verify-full" }).find(({ name }) => name === "log_connections")?.value;
    expect([value(17), value(18)]).toEqual(["1", "all"]);
  });
});

describe("a database that exists", () => {
  it("has the same interface and makes no resources", async () => {
    const url = "postgres://orders@db.example.com:5432/taskiq?sslmode=verify-full";
    const secretArn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:own-AbCdEf";
    const { names, outputs } = await deploy(() => {
      const database = existingDatabase("database", { url, secretArn });
      const watched = existingDatabase("other", { url, secretArn, instanceId: "orders" });
      return {
        url: database.url,
        secretArn: database.secretArn,
        isWatched: database.instanceId !== null,
        instanceId: watched.instanceId,
        grant: database.connectStatement(),
      };
    });
    expect(names()).toEqual([]);
    expect(outputs).toEqual({
      url,
      secretArn,
      isWatched: false,
      instanceId: "orders",
      grant: {
        Sid: "ConnectToDatabase",
        Effect: "Allow",
        Action: ["secretsmanager:GetSecretValue"],
        Resource: [secretArn],
      },
    });
  });
});

describe("what an instance class has", () => {
  const GIB = 1_073_741_824;

  it.each([
    ["db.t4g.micro", 1, 90, 288],
    ["db.t3.small", 2, 180, 576],
    ["db.t4g.medium", 4, 360, 576],
    ["db.m7g.large", 8, 720, null],
    ["db.r8g.2xlarge", 64, 5_000, null],
    ["db.m6i.16xlarge", 256, 5_000, null],
  ])("of %s", (instanceClass, gib, connections, credits) => {
    expect(memoryBytes(instanceClass)).toBe(gib * GIB);
    expect(maxConnections(instanceClass)).toBe(connections);
    expect(maxCredits(instanceClass)).toBe(credits);
  });

  it.each(["db.x2g.large", "db.m7g.metal", "m7g.large", ""])("is unknown for %j", (instanceClass) => {
    expect([memoryBytes(instanceClass), maxConnections(instanceClass), maxCredits(instanceClass)]).toEqual([
      null,
      null,
      null,
    ]);
  });
});
