/**
 * What the OpenAPI document says beyond the shapes themselves. Descriptions stand in a registry of their own: zod's global
 * one is shared with the schemas of every task module, whose names could collide with ours.
 */
import { z } from "zod";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";

/** `schema.register(DOCS, { description })`; a schema with an `id` becomes a component of the document. */
export const DOCS = z.registry<Record<string, unknown>>();

/** A good answer. */
export function answer(description: string, schema: z.ZodType) {
  return { description, content: { "application/json": { schema } } };
}

/** The refusals a route can give: one response a status, which names its codes. */
export function problems(...codes: ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...codes, "internal" as const]) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, ofStatus]) => [status, refusal(ofStatus)]));
}

function refusal(codes: readonly ErrorCode[]) {
  const description = codes.map((code) => `\`${code}\`: ${ERROR_CODES[code].title}.`).join(" ");
  return { description, content: { "application/problem+json": { schema: PROBLEM } } };
}

const PROBLEM = z
  .object({
    type: z
      .string()
      .register(DOCS, { description: "The code as a URN.", examples: ["urn:taskiq-aws:error:unknown_task"] }),
    title: z.string().register(DOCS, { description: "The same for every occurrence of the code." }),
    status: z.int(),
    detail: z.string().register(DOCS, { description: "What was expected, what came, what to do." }),
    code: z.string().register(DOCS, { description: "Stable: match on this." }),
    issues: z
      .array(z.object({ path: z.string(), message: z.string() }))
      .optional()
      .register(DOCS, { description: "What is wrong where, as in `tasks.3.input.key`; at most 100." }),
    instance: z.string().register(DOCS, { description: "The id of the request, which the log carries too." }),
  })
  .register(DOCS, { id: "Problem", description: "Problem details (RFC 9457)." });
