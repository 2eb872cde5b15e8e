/** What Dagster says about the step that started this session. */
import { z } from "zod";
import { invalid } from "./bootstrap.ts";

const range = z.object({ start: z.string(), end: z.string() });
const provenance = z.object({
  code_version: z.string(),
  input_data_versions: z.record(z.string(), z.string()),
  is_user_provided: z.boolean(),
});

/** All are there; null where they do not apply. */
const DATA = z.object({
  asset_keys: z.array(z.string()).nullable(),
  code_version_by_asset_key: z.record(z.string(), z.string().nullable()).nullable(),
  provenance_by_asset_key: z.record(z.string(), provenance.nullable()).nullable(),
  partition_key: z.string().nullable(),
  partition_key_range: range.nullable(),
  partition_time_window: range.nullable(),
  run_id: z.string(),
  job_name: z.string().nullable(),
  retry_number: z.int(),
  extras: z.record(z.string(), z.unknown()).nullable(),
});

export type PipesContext = {
  /** Parts with `/` between them, `\` before a `/` or `\` of their own. Null for an op. */
  readonly assetKeys: readonly string[] | null;
  readonly codeVersions: Readonly<Record<string, string | null>> | null;
  readonly provenance: Readonly<Record<string, z.output<typeof provenance> | null>> | null;
  readonly partitionKey: string | null;
  readonly partitionKeyRange: z.output<typeof range> | null;
  /** ISO 8601. */
  readonly partitionTimeWindow: z.output<typeof range> | null;
  readonly runId: string;
  readonly jobName: string | null;
  /** From 0. */
  readonly retryNumber: number;
  /** What the asset's author handed over. */
  readonly extras: Readonly<Record<string, unknown>>;
};

/** Throws TaskiqError `pipes_invalid`. */
export function contextOf(data: unknown): PipesContext {
  const read = DATA.safeParse(data);
  if (!read.success) {
    const [issue] = read.error.issues;
    throw invalid(
      `the context: expected what dagster-pipes 1.13 writes, got another ${issue?.path.join(".") ?? "shape"}.`,
    );
  }
  const found = read.data;
  return {
    assetKeys: found.asset_keys,
    codeVersions: found.code_version_by_asset_key,
    provenance: found.provenance_by_asset_key,
    partitionKey: found.partition_key,
    partitionKeyRange: found.partition_key_range,
    partitionTimeWindow: found.partition_time_window,
    runId: found.run_id,
    jobName: found.job_name,
    retryNumber: found.retry_number,
    extras: found.extras ?? {},
  };
}
