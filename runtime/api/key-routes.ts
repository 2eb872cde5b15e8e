/** `/v1/keys`: make a key, which is shown this once, list them, end one. */
import { z } from "zod";
import { KEY_ID, makeKey } from "../access/key.ts";
import { KEY_NAME, KEY_NAME_RULE, type KeyRow, listKeys, MAX_KEY_DAYS, revokeKey, storeKey } from "../access/keys.ts";
import { HOME_TENANT, SCOPES, TENANT_NAME, TENANT_NAME_RULE } from "../access/scope.ts";
import { TaskiqError } from "../errors.ts";
import type { Database } from "../postgres/pool.ts";
import type { App } from "./app.ts";
import { callerOf, viewOf } from "./caller.ts";
import { answer, DOCS, problems } from "./docs.ts";

export type KeyRouteParts = {
  readonly database: Database;
  /** In the text of new keys. */
  readonly environment: string;
  /** Tells the verifier of this process that a key has ended. */
  readonly forget: (id: string) => void;
};

const TAGS = ["access"];
const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 365;

const KEY_FIELDS = {
  id: z.string().register(DOCS, { description: "The part of the key that is no secret." }),
  name: z.string(),
  tenant: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  created_at: z.iso.datetime(),
  created_by: z.string().register(DOCS, { description: "The id of a key, `anonymous`, or `keygen`." }),
  expires_at: z.iso.datetime().nullable().register(DOCS, { description: "Null: never." }),
  revoked_at: z.iso.datetime().nullable(),
  revoked_by: z.string().nullable(),
  last_used_at: z.iso.datetime().nullable().register(DOCS, { description: "To the minute." }),
};
const KEY = z
  .object(KEY_FIELDS)
  .register(DOCS, { id: "Key", description: "A key without its text, which is not kept." });
const NEW_KEY = z.object({
  key: z.string().register(DOCS, { description: "The text of the key. It is shown this once." }),
  ...KEY_FIELDS,
});

const BODY = z.strictObject({
  name: z.string().regex(KEY_NAME, KEY_NAME_RULE).register(DOCS, {
    description:
      "What it is for. Two live keys may have one name, so that a new one can replace an old one without a gap.",
  }),
  scopes: z
    .array(z.enum(SCOPES))
    .min(1)
    .max(SCOPES.length)
    .register(DOCS, {
      description:
        "`enqueue`: create tasks. `read`: look. `operate`: cancel, retry, redrive, pause. `command`: with `enqueue`, tasks that run a program. " +
        "`admin`: everything, keys and audit included.",
    }),
  tenant: z
    .string()
    .regex(TENANT_NAME, TENANT_NAME_RULE)
    .optional()
    .register(DOCS, {
      description: `Whose tasks it is for. Default: the caller's own; only keys of the tenant \`${HOME_TENANT}\` make keys of others.`,
    }),
  expires_in_days: z
    .number()
    .positive()
    .max(MAX_KEY_DAYS)
    .nullable()
    .default(DEFAULT_DAYS)
    .register(DOCS, { description: `Null: never. Default ${DEFAULT_DAYS}.` }),
});

const PARAMS = z.object({ id: z.string().regex(KEY_ID, "expected the id of a key, 12 letters and digits") });
const REFUSED = ["request_invalid", "not_json_body", "unsupported_media_type", "database_unavailable"] as const;

export function keyRoutes(app: App, { database, environment, forget }: KeyRouteParts): void {
  app.post(
    "/v1/keys",
    {
      config: { scope: "admin" },
      schema: {
        operationId: "createKey",
        summary: "Make an API key",
        description: "The answer is the only place where its text is ever shown. A repeated request makes another key.",
        tags: TAGS,
        body: BODY,
        response: {
          201: answer("It is valid from now on.", NEW_KEY),
          ...problems("key_limit", "home_only", ...REFUSED),
        },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const { name, scopes, tenant = caller.tenant, expires_in_days: days } = request.body;
      const view = viewOf(caller);
      if (view !== null && tenant !== view) {
        throw new TaskiqError(
          "home_only",
          `expected the tenant ${view}, that of your key, got ${tenant}. Keys of the tenant ${HOME_TENANT} make keys of others.`,
        );
      }
      const made = makeKey(environment);
      const lifeMs = days === null ? null : days * DAY_MS;
      const row = await storeKey(database, made, { name, scopes, tenant, lifeMs }, caller);
      return reply
        .code(201)
        .type("application/json")
        .send(JSON.stringify({ key: made.text, ...row }));
    },
  );

  app.get(
    "/v1/keys",
    {
      config: { scope: "admin" },
      schema: {
        operationId: "listKeys",
        summary: "The keys",
        description: `Newest first, at most 1,000, those that have ended included; of all tenants for keys of the tenant \`${HOME_TENANT}\`.`,
        tags: TAGS,
        response: {
          200: answer("Without their texts.", z.object({ keys: z.array(KEY) })),
          ...problems("database_unavailable"),
        },
      },
    },
    async (request, reply) => {
      const keys: KeyRow[] = await listKeys(database, viewOf(callerOf(request)));
      return reply.type("application/json").send(JSON.stringify({ keys }));
    },
  );

  app.post(
    "/v1/keys/:id/revoke",
    {
      config: { scope: "admin", bodyOptional: true },
      schema: {
        operationId: "revokeKey",
        summary: "End a key, for good",
        description: "Every process refuses it within 30 seconds. Asking again changes nothing.",
        tags: TAGS,
        params: PARAMS,
        response: { 200: answer("It is revoked.", KEY), ...problems("key_not_found", ...REFUSED) },
      },
    },
    async (request, reply) => {
      const caller = callerOf(request);
      const row = await revokeKey(database, request.params.id, viewOf(caller), caller);
      forget(row.id);
      return reply.type("application/json").send(JSON.stringify(row));
    },
  );
}
