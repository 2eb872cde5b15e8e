/** The tasks and jobs baked into the image. Yours go here too, one file a task or a job. */

import type { JobDefinition } from "../define/job.ts";
import type { AnyTask } from "../define/registry.ts";
import { DIAMOND_TASKS, diamond } from "./diamond.ts";
import { ETL_TASKS, etl } from "./etl.ts";
import { NIGHTLY_TASKS, nightly } from "./nightly.ts";
import { sleep } from "./sleep.ts";

export const TASKS: readonly AnyTask[] = [sleep, ...ETL_TASKS, ...DIAMOND_TASKS, ...NIGHTLY_TASKS];
export const JOBS: readonly JobDefinition[] = [etl, diamond, nightly];
