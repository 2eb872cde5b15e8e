/** What is reachable, what is wrong and what to do: every part is looked at, at once, whatever is wrong with the others. */

import { databasePassword } from "../../secrets/database-password.ts";
import { type ApiAddress, checkApi } from "./api.ts";
import { checkBucket } from "./bucket.ts";
import { checkDatabase } from "./database.ts";
import { type Finding, fail, warn } from "./finding.ts";
import { checkNode } from "./node.ts";
import { checkQueues } from "./queues.ts";
import { type ReadConfig, readSettings } from "./settings.ts";

export type DoctorOptions = {
  readonly api: ApiAddress;
  readonly readConfig: ReadConfig;
  readonly nodeVersion: string;
};

export type Diagnosis = {
  readonly findings: readonly Finding[];
  /** Neither database nor queues, bucket or API could be reached. */
  readonly isNothingThere: boolean;
};

/** Takes some seconds at most. Never throws for what it finds. */
export async function diagnose({ api, readConfig, nodeVersion }: DoctorOptions): Promise<Diagnosis> {
  const { findings, isEmpty, database, queues, bucket } = readSettings(readConfig);
  const [databaseFindings, queueFindings, bucketFindings, apiFindings] = await Promise.all([
    database === null
      ? []
      : guard(
          "database",
          checkDatabase(
            database.config,
            databasePassword(database.config, database.aws),
            queues?.queues.map(({ name }) => name),
          ),
        ),
    queues === null ? [] : guard("queues", checkQueues(queues.aws, queues.queues, queues.cancelUrl)),
    bucket === null ? [] : guard("bucket", checkBucket(bucket.aws, bucket.name)),
    guard("API", checkApi(api)),
  ]);
  const parts = [...databaseFindings, ...queueFindings, ...bucketFindings, ...apiFindings];
  const isUsingElsewhere = isEmpty && apiFindings.some(({ level }) => level === "ok");
  return {
    findings: [checkNode(nodeVersion), ...(isUsingElsewhere ? [onlyTheApi()] : findings), ...parts],
    isNothingThere: !parts.some(({ level }) => level === "ok"),
  };
}

/** From a laptop somebody uses an API; only who runs the parts has their addresses. */
function onlyTheApi(): Finding {
  return warn(
    "configuration",
    "No service is configured here, so only the API was looked at.",
    "To look at the database, the queues and the bucket too, set the variables of .env.example.",
  );
}

async function guard(check: string, work: Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work;
  } catch (error) {
    return [fail(check, `The check itself failed: ${error instanceof Error ? error.message : String(error)}.`, null)];
  }
}
