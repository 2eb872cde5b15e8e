/** The payload store, with what is stored in it counted. */

import type { PayloadStore } from "../payload/payload.ts";
import type { Meters } from "./meters.ts";

export function measuredPayloads<Store extends PayloadStore>(store: Store, meters: Meters): Store {
  const offloads = meters.counter("taskq_s3_offload_total", {});
  return {
    ...store,
    async put(taskId, text) {
      const ref = await store.put(taskId, text);
      offloads.value++;
      return ref;
    },
  };
}
