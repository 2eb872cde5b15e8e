/** Who the caller is to a deployment. */
import type { Scope } from "../access/scope.ts";
import { jsonObject } from "./problem.ts";
import type { Requester } from "./request.ts";

export type Session = {
  /** `none`: nobody is asked for a key. */
  readonly auth: "keys" | "none";
  /** What the key is called; `anonymous` where none is asked for. */
  readonly name: string;
  readonly tenant: string;
  /** `admin` stands for all of them. */
  readonly scopes: readonly Scope[];
  /** Whether the key also does what concerns all tenants, such as pausing a queue. */
  readonly home: boolean;
  /** Of the API. */
  readonly version: string;
  /** Where the logs of a task are, with `{taskId}` for its id; null: there is no such page. */
  readonly logsUrl: string | null;
};

/** Throws ApiError `key_missing`, `key_invalid`, `key_expired`, `key_revoked`. @param refuse throws the error of an answer that this API cannot have given */
export async function readSession(requester: Requester, refuse: (text: string) => never): Promise<Session> {
  const text = await requester.send({ method: "GET", path: "/v1/session" });
  const body = jsonObject(text);
  if (typeof body?.tenant !== "string" || !Array.isArray(body.scopes)) return refuse(text);
  // What has a tenant and scopes is a session as the API describes it.
  const { logs_url: logsUrl, ...session } = body as Omit<Session, "logsUrl"> & { logs_url: string | null };
  return { ...session, logsUrl };
}
