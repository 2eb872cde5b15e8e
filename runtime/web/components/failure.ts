/** What went wrong, as far as it can be told: the code of the API and its sentence. Pure. */
import { ApiError } from "../../client/index.ts";

export type Failure = { readonly code: string; readonly detail: string; readonly requestId: string | null };

export function describeFailure(error: unknown): Failure {
  if (error instanceof ApiError) {
    return { code: error.code, detail: error.message, requestId: error.requestId };
  }
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    return { code: error.code, detail: error.message, requestId: null };
  }
  return { code: "unexpected", detail: error instanceof Error ? error.message : String(error), requestId: null };
}
