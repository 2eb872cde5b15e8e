/** `/v1/session`: who the caller is to this deployment, so that a page can show what it may do and hide what it may not. */
import { z } from "zod";
import { SCOPES } from "../access/scope.ts";
import type { App } from "./app.ts";
import { callerOf, viewOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";

export type SessionRouteParts = {
  readonly auth: "keys" | "none";
  readonly version: string;
  /** With `{taskId}`; null: there is no such page. */
  readonly logsUrl: string | null;
};

const SESSION = z
  .object({
    auth: z.enum(["keys", "none"]).register(DOCS, { description: "`none`: nobody is asked for a key." }),
    name: z.string().register(DOCS, { description: "What the key is called; `anonymous` where none is asked for." }),
    tenant: z.string(),
    scopes: z.array(z.enum(SCOPES)).register(DOCS, { description: "`admin` stands for all of them." }),
    home: z.boolean().register(DOCS, {
      description: "Whether the key belongs to the tenant `default`, whose keys also do what concerns all tenants.",
    }),
    version: z.string().register(DOCS, { description: "Of this package." }),
    logs_url: z.string().nullable().register(DOCS, {
      description: "Where the logs of a task are; `{taskId}` stands for its id.",
    }),
  })
  .register(DOCS, { id: "Session" });

export function sessionRoutes(app: App, { auth, version, logsUrl }: SessionRouteParts): void {
  app.get(
    "/v1/session",
    {
      config: { scope: "any" },
      schema: {
        operationId: "getSession",
        summary: "Who you are here, and what your key allows",
        tags: ["access"],
        response: { 200: answer("The caller.", SESSION), ...problems("database_unavailable") },
      },
    },
    (request, reply) => {
      const caller = callerOf(request);
      const { label: name, tenant, scopes } = caller;
      const home = viewOf(caller) === null;
      const session = { auth, name, tenant, scopes, home, version, logs_url: logsUrl };
      return reply.type("application/json").send(JSON.stringify(session));
    },
  );
}
