/** A payload store for tests that must not need one. */
import type { PayloadStore } from "../../runtime/payload/payload.ts";

export const NO_PAYLOADS = new Proxy({} as PayloadStore, {
  get: (_, name) => () => Promise.reject(new Error(`expected no large payload, got ${String(name)}`)),
});
