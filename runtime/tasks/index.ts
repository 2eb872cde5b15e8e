/** The tasks baked into the image. Yours go here too, one file a task. */

import type { AnyTask } from "../define/registry.ts";
import { sleep } from "./sleep.ts";

export const TASKS: readonly AnyTask[] = [sleep];
