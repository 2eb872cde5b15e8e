/** `/v1/audit`: who did what to the work of others. */
import { z } from "zod";
import { type AuditEntry, MAX_AUDIT_ENTRIES, readAudit } from "../access/audit.ts";
import { HOME_TENANT } from "../access/scope.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf, viewOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";

export type AuditRouteParts = { readonly database: Database };

const DEFAULT_LIMIT = 100;

const QUERY = z.strictObject({
  limit: z.coerce
    .number()
    .pipe(z.int().min(1).max(MAX_AUDIT_ENTRIES))
    .default(DEFAULT_LIMIT)
    .register(DOCS, { description: `At most so many. Default ${DEFAULT_LIMIT}.` }),
  before: z.coerce
    .number()
    .pipe(z.int().min(1))
    .default(Number.MAX_SAFE_INTEGER)
    .register(DOCS, { description: "`next` of an earlier answer: go on from there." }),
});

const ENTRY = z
  .object({
    id: z.int(),
    at: z.iso.datetime(),
    actor: z.string().register(DOCS, { description: "The id of a key, `anonymous`, or `keygen`." }),
    key_name: z.string().nullable().register(DOCS, { description: "The name of that key." }),
    tenant: z.string(),
    action: z.string().register(DOCS, { description: "Such as `task.cancel`.", examples: ["task.cancel"] }),
    target: z.string().nullable().register(DOCS, { description: "The id or name of what it was done to." }),
    detail: z.unknown(),
  })
  .register(DOCS, { id: "AuditEntry" });

export function auditRoutes(app: App, { database }: AuditRouteParts): void {
  app.get(
    "/v1/audit",
    {
      config: { scope: "admin" },
      schema: {
        operationId: "listAudit",
        summary: "Who did what",
        description: `Latest first; of all tenants for keys of the tenant \`${HOME_TENANT}\`.`,
        tags: ["access"],
        querystring: QUERY,
        response: {
          200: answer(
            "`next` is null where there is no more.",
            z.object({ entries: z.array(ENTRY), next: z.int().nullable() }),
          ),
          ...problems("request_invalid", "database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      const { limit, before } = request.query;
      const entries = await readAudit(database, viewOf(callerOf(request)), { before, limit });
      const next = entries.length === limit ? (entries.at(-1)?.id ?? null) : null;
      const text = `{"entries":[${entries.map(entryText).join(",")}],"next":${next}}`;
      return reply.type("application/json").send(text);
    },
  );
}

/** The detail is JSON already. */
function entryText({ detail, ...entry }: AuditEntry): string {
  return `${JSON.stringify(entry).slice(0, -1)},"detail":${detail ?? "null"}}`;
}
