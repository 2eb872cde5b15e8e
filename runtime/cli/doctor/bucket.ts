/** The bucket: a small object is stored, read back and deleted, as a payload is. */
import { randomUUID } from "node:crypto";
import { systemClock as clock } from "../../clock.ts";
import type { PayloadStore } from "../../payload/payload.ts";
import { openPayloadStore } from "../../payload/s3.ts";
import { describeAwsFailure } from "./aws-failure.ts";
import { CHECK_MS, withinMs } from "./bounded.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import type { AwsPlace } from "./settings.ts";

const CHECK = "bucket";
const MAX_BYTES = 1_024;
const PROBE = '"a probe of taskiq-aws doctor"';
const ACTIONS = "s3:PutObject, s3:GetObject and s3:DeleteObject";

export async function checkBucket(aws: AwsPlace, bucket: string): Promise<Finding[]> {
  const store = openPayloadStore({ ...aws, bucket, maxBytes: MAX_BYTES, requestTimeoutMs: CHECK_MS });
  try {
    return [await withinMs(CHECK_MS, clock, probe(store, bucket))];
  } catch (error) {
    return [describeAwsFailure(CHECK, error, { actions: ACTIONS, name: "TASKIQ_S3_BUCKET" })];
  } finally {
    store.close();
  }
}

async function probe(store: PayloadStore, bucket: string): Promise<Finding> {
  const startedMs = clock.nowMs();
  const ref = await store.put(randomUUID(), PROBE);
  const isSame = (await store.get(ref)) === PROBE;
  const elapsedMs = clock.nowMs() - startedMs;
  try {
    await store.remove([ref]);
  } catch (error) {
    const { message } = describeAwsFailure(CHECK, error, { actions: ACTIONS, name: "TASKIQ_S3_BUCKET" });
    return warn(CHECK, `${ref} could not be deleted: ${message}`, "Allow s3:DeleteObject: finished tasks are pruned.");
  }
  if (!isSame) return fail(CHECK, `${bucket} gave back something else than was stored.`, "Do not use this service.");
  return ok(CHECK, `${bucket} stores and gives back an object in ${elapsedMs.toFixed(0)} ms, and deletes it.`);
}
