/** Checks the parts of a request against their zod schemas. */
import type { FastifySchemaCompiler } from "fastify";
import type { z } from "zod";
import { TaskiqError } from "../errors.ts";
import { boundIssues, type Issue, inWords, issuesOf } from "../issues.ts";

export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const checked = schema.safeParse(data);
    return checked.success ? { value: checked.data } : { error: requestInvalid(issuesOf(checked.error)) };
  };

/** The refusal, which names the first issues in words and up to 100 as data. */
export function requestInvalid(issues: readonly Issue[]): TaskiqError {
  const bounded = boundIssues(issues);
  return new TaskiqError("request_invalid", inWords(bounded), { details: { issues: bounded } });
}
