/** The id of the task that a step is: it follows from the run and the key, so it is known before the step has started. */
import { v5 as uuidv5 } from "uuid";

/** @param key of the step, or of an element `KEY[index]` */
export function stepTaskId(runId: string, key: string): string {
  return uuidv5(key, runId);
}
