/** Submits no-op tasks as fast as they are taken, in batches, several at a time. */
import type { Submitter } from "../runtime/flow/submit.ts";

const BATCH = 500;
const AT_ONCE = 4;

/** Resolves when the last of `count` tasks has been accepted. */
export async function submitAll(submitter: Submitter, count: number): Promise<void> {
  let left = count;
  const submit = async () => {
    while (left > 0) {
      const size = Math.min(BATCH, left);
      left -= size;
      const requests = Array.from({ length: size }, () => ({ task: "noop", input: null }));
      await submitter.submit(requests, { tenant: "default" });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, submit));
}
