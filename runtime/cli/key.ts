/** `taskiq-aws key`: makes, lists, ends and replaces keys through the API, with an admin's key in TASKIQ_API_KEY. */
import type { Scope } from "../access/scope.ts";
import { ApiError } from "../client/api-error.ts";
import type { ApiKey, NewApiKey } from "../client/keys.ts";
import { systemClock } from "../clock.ts";
import { openClient } from "./api-client.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Life } from "./option-values.ts";
import type { Screen } from "./screen.ts";
import { duration, oneLine } from "./text.ts";

export type KeyOptions = { readonly url: string; readonly json?: true };
export type KeyCreateOptions = KeyOptions & {
  readonly tenant?: string;
  readonly scopes: readonly Scope[];
  readonly expires: Life;
};

const DAY_MS = 86_400_000;

export async function createKey(name: string, options: KeyCreateOptions, screen: Screen): Promise<ExitCode> {
  const { url, tenant, scopes, expires, json } = options;
  const settings = { name, scopes, expiresInDays: daysOf(expires), ...(tenant !== undefined && { tenant }) };
  tellNew(await openClient(url).keys.create(settings), screen, json === true);
  return EXIT.ok;
}

export async function listKeys({ url, json }: KeyOptions, screen: Screen): Promise<ExitCode> {
  const keys = await openClient(url).keys.list();
  if (json === true) screen.out.line(JSON.stringify(keys));
  else for (const line of table(keys, systemClock.wallMs())) screen.out.line(line);
  return EXIT.ok;
}

export async function revokeKey(id: string, { url, json }: KeyOptions, screen: Screen): Promise<ExitCode> {
  const key = await openClient(url).keys.revoke(id);
  screen.out.line(json === true ? JSON.stringify(key) : `Key ${key.id} (${oneLine(key.name)}) is revoked.`);
  return EXIT.ok;
}

/** Makes a second key like this one: the same name, tenant, scopes and life. The old one lives on until it is revoked. */
export async function rotateKey(id: string, { url, json }: KeyOptions, screen: Screen): Promise<ExitCode> {
  const client = openClient(url);
  const old = (await client.keys.list()).find((key) => key.id === id);
  if (old === undefined) {
    throw new ApiError({
      code: "key_not_found",
      status: 404,
      detail: `expected the id of a key, got ${id}. taskiq-aws key list shows them.`,
    });
  }
  const life = old.expiresAt === null ? "never" : +old.expiresAt - +old.createdAt;
  tellNew(await client.keys.create(likeOld(old, life)), screen, json === true);
  if (json !== true) screen.notes.line(`When nobody uses the old one any more: taskiq-aws key revoke ${id}`);
  return EXIT.ok;
}

function likeOld({ name, tenant, scopes }: ApiKey, life: Life): NewApiKey {
  // A newer server may know more scopes; it checks them.
  return { name, tenant, scopes: scopes as readonly Scope[], expiresInDays: daysOf(life) };
}

function daysOf(life: Life): number | null {
  return life === "never" ? null : life / DAY_MS;
}

function tellNew({ text, key }: { text: string; key: ApiKey }, screen: Screen, json: boolean): void {
  screen.out.line(json ? JSON.stringify({ key: text, ...key }) : text);
  if (json) return;
  const until = key.expiresAt === null ? "never expires" : `expires ${key.expiresAt.toISOString()}`;
  screen.notes.line(
    `Key ${key.id} of tenant ${key.tenant}: ${key.scopes.join(", ")}; ${until}. It is not shown again.`,
  );
}

const HEAD = ["ID", "NAME", "TENANT", "SCOPES", "STATE", "USED"];

function table(keys: readonly ApiKey[], nowMs: number): string[] {
  const rows = [HEAD, ...keys.map((key) => cells(key, nowMs).map(oneLine))];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function cells(key: ApiKey, nowMs: number): string[] {
  const used = key.lastUsedAt === null ? "never" : `${duration(nowMs - +key.lastUsedAt)} ago`;
  return [key.id, key.name, key.tenant, key.scopes.join(","), stateOf(key, nowMs), used];
}

function stateOf({ expiresAt, revokedAt }: ApiKey, nowMs: number): string {
  if (revokedAt !== null) return "revoked";
  if (expiresAt === null) return "live";
  return +expiresAt <= nowMs ? "expired" : `live for ${duration(+expiresAt - nowMs)}`;
}
