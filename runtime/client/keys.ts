/** API keys over HTTP, for a caller whose key has the scope `admin`. */
import type { Scope } from "../access/scope.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type ApiKey = {
  /** The part of the key that is no secret. */
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
  readonly createdAt: Date;
  readonly createdBy: string;
  /** Null: never. */
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
  readonly revokedBy: string | null;
  /** To the minute. */
  readonly lastUsedAt: Date | null;
};

export type NewApiKey = {
  /** What it is for. Two live keys may have one name. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** Default: that of the caller. */
  readonly tenant?: string;
  /** Null: never. Default 365. */
  readonly expiresInDays?: number | null;
};

export type Keys = {
  /** `text` is shown this once. Sent once only: when the answer is lost, `list` shows a key that was never used. */
  create(settings: NewApiKey): Promise<{ readonly text: string; readonly key: ApiKey }>;
  /** Newest first, at most 1,000. */
  list(): Promise<readonly ApiKey[]>;
  /** For good; every process refuses it within 30 s. */
  revoke(id: string): Promise<ApiKey>;
};

/** @param refuse throws the error of an answer that this API cannot have given */
export function createKeys(requester: Requester, refuse: (text: string) => never): Keys {
  return {
    async create({ name, scopes, tenant, expiresInDays }) {
      const body = JSON.stringify({ name, scopes, tenant, expires_in_days: expiresInDays });
      const text = await requester.send({ method: "POST", path: "/v1/keys", body, once: true });
      const answer = jsonObject(text);
      const key = readKey(answer);
      // The answer is not told in an error: it may hold a key.
      return typeof answer?.key === "string" && key !== undefined ? { text: answer.key, key } : refuse("");
    },
    async list() {
      const text = await requester.send({ method: "GET", path: "/v1/keys" });
      const keys = jsonObject(text)?.keys;
      return Array.isArray(keys) ? keys.map((key) => readKey(key) ?? refuse(text)) : refuse(text);
    },
    async revoke(id) {
      const text = await requester.send({ method: "POST", path: `/v1/keys/${encodeURIComponent(id)}/revoke` });
      return readKey(jsonObject(text)) ?? refuse(text);
    },
  };
}

function readKey(value: unknown): ApiKey | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  // Any name may be asked for; what comes is unknown.
  const body = value as Readonly<Record<string, unknown>>;
  const { id, name, tenant, scopes } = body;
  if (typeof id !== "string" || typeof name !== "string" || typeof tenant !== "string") return undefined;
  return {
    id,
    name,
    tenant,
    scopes: Array.isArray(scopes) ? scopes.map(String) : [],
    createdAt: new Date(String(body.created_at)),
    createdBy: String(body.created_by),
    expiresAt: dateOf(body.expires_at),
    revokedAt: dateOf(body.revoked_at),
    revokedBy: typeof body.revoked_by === "string" ? body.revoked_by : null,
    lastUsedAt: dateOf(body.last_used_at),
  };
}

function dateOf(value: unknown): Date | null {
  return typeof value === "string" ? new Date(value) : null;
}
