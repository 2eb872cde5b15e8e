/** What Dagster hands over to the process of a session. */
import { deflateSync } from "node:zlib";

/** The context of an asset's step, but for what a test is about. */
export function sessionContext(changes: object): object {
  return {
    asset_keys: ["one", "two"],
    code_version_by_asset_key: {},
    provenance_by_asset_key: {},
    partition_key: null,
    partition_key_range: null,
    partition_time_window: null,
    run_id: "r",
    job_name: "j",
    retry_number: 0,
    extras: {},
    ...changes,
  };
}

/** A value as it stands in a variable, an argument or a label. */
export function encoded(value: unknown): string {
  return deflateSync(JSON.stringify(value)).toString("base64");
}
