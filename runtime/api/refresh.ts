/** How soon a listener wants to hear of something. */
import { z } from "zod";
import { DOCS } from "./docs.ts";

const LIMITS = { min: 200, max: 5_000 };

export const REFRESH_QUERY = z.strictObject({
  refresh_ms: z.coerce.number().pipe(z.int().min(LIMITS.min).max(LIMITS.max)).optional().register(DOCS, {
    description:
      "The pause between two looks at the database, which serve all listeners: the least that one of them asks for. Default: as soon as can be.",
  }),
});
