/**
 * `taskiq-aws keygen`: makes a key in the database itself, because the first key cannot be made with a key. Where only containers reach the
 * database, the key is made here (`--offline`) and its fingerprint stored there (`--fingerprint`): a key that a container prints would stand
 * in its log.
 */
import { hashKey, KEY_ENVIRONMENT, makeKey } from "../access/key.ts";
import { KEY_NAME, KEY_NAME_RULE, type KeyRow, storeKey } from "../access/keys.ts";
import type { Scope } from "../access/scope.ts";
import { TENANT_NAME, TENANT_NAME_RULE } from "../access/scope.ts";
import { configFromProcess } from "../config.ts";
import { TaskiqError } from "../errors.ts";
import { checkSchema } from "../postgres/migrate.ts";
import { isConnectionError, openDatabase } from "../postgres/pool.ts";
import { redactText } from "../redact.ts";
import { databasePassword } from "../secrets/database-password.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Fingerprint, Life } from "./option-values.ts";
import { reportError } from "./report-error.ts";
import type { Screen } from "./screen.ts";

export type KeygenOptions = {
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly Scope[];
  readonly expires: Life;
  readonly environment: string;
  readonly offline?: true;
  readonly fingerprint?: Fingerprint;
  readonly json?: true;
};

export async function runKeygen(options: KeygenOptions, screen: Screen): Promise<ExitCode> {
  const json = options.json === true;
  try {
    check(options);
    if (options.offline === true) return makeOffline(options, screen);
    if (options.fingerprint === undefined) {
      const made = makeKey(options.environment);
      tell(made.text, await store(made, options), screen, json);
    } else {
      tell(undefined, await store(options.fingerprint, options), screen, json);
    }
    return EXIT.ok;
  } catch (error) {
    const isAway = isConnectionError(error);
    const exitCode = reportError(isAway ? unreachable(error) : error, screen, { json });
    return isAway ? EXIT.failed : exitCode;
  }
}

function check({ name, tenant, environment, offline, fingerprint }: KeygenOptions): void {
  const refuse = (message: string): never => {
    throw new TaskiqError("request_invalid", message);
  };
  if (!KEY_NAME.test(name)) refuse(`--name: ${KEY_NAME_RULE}, got ${JSON.stringify(name)}.`);
  if (!TENANT_NAME.test(tenant)) refuse(`--tenant: ${TENANT_NAME_RULE}, got ${JSON.stringify(tenant)}.`);
  if (!KEY_ENVIRONMENT.test(environment)) {
    refuse(
      `--environment: expected up to 20 lower-case letters, digits and hyphens, got ${JSON.stringify(environment)}.`,
    );
  }
  if (offline === true && fingerprint !== undefined) {
    refuse(
      "expected --offline, which makes a key, or --fingerprint, which stores one, got both. Run one after the other.",
    );
  }
}

function makeOffline({ environment, json }: KeygenOptions, screen: Screen): ExitCode {
  const { text, id } = makeKey(environment);
  const fingerprint = `${id}:${hashKey(text).toString("hex")}`;
  screen.out.line(json === true ? JSON.stringify({ key: text, id, fingerprint }) : text);
  if (json !== true) {
    screen.notes.line("Not valid yet. Where the database can be reached, store its fingerprint, which is no secret:");
    screen.notes.line(`  taskiq-aws keygen --fingerprint ${fingerprint} --scopes … --tenant …`);
  }
  return EXIT.ok;
}

async function store(key: Fingerprint, { name, tenant, scopes, expires }: KeygenOptions): Promise<KeyRow> {
  const { database: config, aws } = configFromProcess({ SERVICE_ROLE: "migrate" });
  const database = openDatabase({
    connectionString: config.url,
    caFile: config.caFile ?? undefined,
    password: databasePassword(config, aws),
    max: 1,
    applicationName: "taskiq-aws keygen",
  });
  try {
    await checkSchema(database);
    return await storeKey(
      database,
      key,
      { name, tenant, scopes, lifeMs: expires === "never" ? null : expires },
      { name: "keygen", tenant },
    );
  } finally {
    await database.close();
  }
}

function tell(text: string | undefined, row: KeyRow, screen: Screen, json: boolean): void {
  if (json) {
    screen.out.line(JSON.stringify({ ...(text !== undefined && { key: text }), ...row }));
    return;
  }
  screen.out.line(text ?? row.id);
  const until = row.expires_at === null ? "never expires" : `expires ${row.expires_at.toISOString()}`;
  const shown = text === undefined ? "" : " It is not shown again.";
  screen.notes.line(`Key ${row.id} of tenant ${row.tenant}: ${row.scopes.join(", ")}; ${until}.${shown}`);
}

function unreachable(cause: unknown): TaskiqError {
  const reason = redactText(cause instanceof Error ? cause.message : String(cause));
  return new TaskiqError(
    "database_unavailable",
    `expected the database of DATABASE_URL, got: ${reason}. taskiq-aws doctor says more.`,
    { cause },
  );
}
