/**
 * Where inputs and results that are too large for a row are kept. What stands in the row is a reference made by `put`;
 * only the adapter knows what it means. Values are JSON text throughout: it must come back character for character.
 */

export type PayloadStore = {
  /** Where all of it is, for those who are told by a message. */
  readonly bucket: string;
  /**
   * Stores the text for this task (a UUID) and returns its reference. The same text for the same task on the same day
   * has the same reference. Throws `payload_too_large`, `payload_unavailable`.
   */
  put(taskId: string, text: string): Promise<string>;
  /**
   * The text that `put` was given. Throws `payload_missing`, `payload_corrupt` (not the bytes that were stored),
   * `payload_too_large`, `payload_ref_invalid` (not made by `put`: never followed), `payload_unavailable`.
   */
  get(ref: string): Promise<string>;
  /**
   * The text of an object that somebody else named. Throws `payload_ref_invalid` before S3 is asked for another bucket than the store's own, for a
   * key that does not begin with `prefix` or is one of `put`'s; `payload_missing`, `payload_too_large`, `payload_unavailable`; `payload_corrupt` for
   * bytes that are no UTF-8.
   */
  getFrom(place: { readonly bucket: string; readonly key: string }, prefix: string): Promise<string>;
  /**
   * Stores text at a key of the caller's choice, replacing what is there: results for producers that look for them
   * under a name of their own. Throws `payload_ref_invalid` for a key that no object can have or that is one of
   * `put`'s, `payload_too_large`, `payload_unavailable`.
   */
  putAt(key: string, text: string): Promise<void>;
  /** Keys that begin with `prefix`, in their order, at most `limit` (to 10,000). Throws as `putAt` for the prefix, and `payload_unavailable`. */
  listAt(prefix: string, limit: number): Promise<string[]>;
  /** Deletes what was stored by `putAt`, or by somebody else beside it. Throws as `putAt` and `remove`. */
  removeAt(keys: readonly string[]): Promise<void>;
  /**
   * Deletes; what is not there counts as deleted. Throws `payload_ref_invalid` before anything is deleted,
   * `payload_unavailable` when some could not be: repeat the call.
   */
  remove(refs: readonly string[]): Promise<void>;
  /** Resolves when the store answers within `timeoutMs`. Throws `payload_unavailable`. */
  ping(timeoutMs: number): Promise<void>;
};
