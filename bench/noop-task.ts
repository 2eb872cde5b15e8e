/** The cheapest task there is. */

import { z } from "zod";
import { defineTask } from "../runtime/define/index.ts";

export const noop = defineTask({ name: "noop", input: z.null(), run: () => null });
