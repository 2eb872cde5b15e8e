/** The database: reachable, encrypted, writable, of a usable version, with this code's schema, near, and with the same time. */
import { systemClock as clock } from "../../clock.ts";
import type { DatabaseConfig } from "../../config.ts";
import { describeError } from "../../describe-error.ts";
import { TaskiqError } from "../../errors.ts";
import { checkSchema, schemaVersion } from "../../postgres/migrate.ts";
import type { Password } from "../../postgres/password.ts";
import { openDatabase, type Queryable } from "../../postgres/pool.ts";
import { loadSql } from "../../postgres/sql.ts";
import { redactText } from "../../redact.ts";
import { CHECK_MS, withinMs } from "./bounded.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";
import { checkFleet } from "./fleet.ts";

type Server = {
  readonly version: string;
  readonly version_number: number;
  readonly clock_ms: number;
  readonly is_encrypted: boolean;
  readonly is_standby: boolean;
};

const CHECK = "database";
const OLDEST_VERSION_NUMBER = 150_000;
const MAX_ROUND_TRIP_MS = 50;
const MAX_SKEW_MS = 2_000;
const ROUND_TRIPS = 3;

const readServer = loadSql(import.meta.url, "./read-server.sql");

/** @param queues names of the queues, for what the database knows of them; none: only the database itself is looked at */
export async function checkDatabase(
  { url, caFile }: DatabaseConfig,
  password?: Password,
  queues: readonly string[] = [],
): Promise<Finding[]> {
  try {
    const database = openDatabase({
      connectionString: url,
      caFile: caFile ?? undefined,
      password,
      max: 1,
      applicationName: "taskiq-aws doctor",
      connectTimeoutMs: CHECK_MS,
      queryTimeoutMs: CHECK_MS,
      statementTimeoutMs: CHECK_MS,
      closeTimeoutMs: CHECK_MS,
    });
    try {
      return await withinMs(CHECK_MS, clock, inspect(database, hostOf(url), queues));
    } finally {
      void database.close();
    }
  } catch (error) {
    return [describeFailure(error, placeOf(url))];
  }
}

async function inspect(database: Queryable, host: string, queues: readonly string[]): Promise<Finding[]> {
  // The first one connects, which says nothing about a round trip.
  await database.query<Server>(readServer, []);
  const trips: { readonly server: Server; readonly ms: number; readonly skewMs: number }[] = [];
  for (let trip = 0; trip < ROUND_TRIPS; trip++) {
    const startedMs = clock.nowMs();
    const [server] = await database.query<Server>(readServer, []);
    const ms = clock.nowMs() - startedMs;
    if (server !== undefined) trips.push({ server, ms, skewMs: clock.wallMs() - ms / 2 - server.clock_ms });
  }
  const [best] = trips.toSorted((a, b) => a.ms - b.ms);
  if (best === undefined) throw new Error("the server answered without a row");
  const { server, ms, skewMs } = best;
  const schema = await describeSchema(database);
  return [
    describeServer(server, host, ms),
    describeEncryption(server, host),
    ...(server.is_standby ? [describeStandby()] : []),
    schema,
    ...(Math.abs(skewMs) > MAX_SKEW_MS ? [describeSkew(skewMs)] : []),
    // Without the tables there is nothing to ask.
    ...(schema.level === "ok" && queues.length > 0 ? await checkFleet(database, queues) : []),
  ];
}

function describeServer({ version, version_number }: Server, host: string, ms: number): Finding {
  const told = `Postgres ${version} at ${host} answers in ${ms.toFixed(1)} ms.`;
  if (version_number < OLDEST_VERSION_NUMBER) return fail(CHECK, told, "Postgres 15 or newer is needed: upgrade it.");
  if (ms <= MAX_ROUND_TRIP_MS) return ok(CHECK, told);
  return warn(CHECK, told, "Every task takes several round trips: run the workers in the database's region.");
}

function describeEncryption({ is_encrypted }: Server, host: string): Finding {
  if (is_encrypted) return ok(CHECK, "The connection is encrypted and the server's certificate is verified.");
  if (isLoopback(host)) return ok(CHECK, "The connection is not encrypted, and does not leave this machine.");
  return warn(CHECK, "The connection is not encrypted.", "Add sslmode=verify-full to DATABASE_URL.");
}

function describeStandby(): Finding {
  return fail(CHECK, "This server is a read replica.", "Use the address of the primary, the writer, in DATABASE_URL.");
}

async function describeSchema(database: Queryable): Promise<Finding> {
  try {
    await checkSchema(database);
    return ok(CHECK, `The schema is at version ${schemaVersion}, as this program needs it.`);
  } catch (error) {
    if (error instanceof TaskiqError) return fail(CHECK, error.message, null);
    return describeFailure(error, "the schema");
  }
}

function describeSkew(skewMs: number): Finding {
  const seconds = Math.abs(skewMs / 1_000).toFixed(1);
  const told = `This machine's clock is ${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} the database's.`;
  return warn(CHECK, told, "Synchronise it (NTP): AWS refuses requests that are signed five minutes off.");
}

const TLS_ADVICE =
  "Name the file of the certificate authority in TASKIQ_DATABASE_CA_FILE (for RDS the bundle of truststore.pki.rds.amazonaws.com), and use the host name the certificate is for.";

/** By system code or SQLSTATE. */
const ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Nothing listens there: start Postgres, or correct DATABASE_URL.",
  ENOTFOUND: "The host is not known: correct DATABASE_URL.",
  EAI_AGAIN: "The host name cannot be looked up: check DNS and the network.",
  "28P01": "Correct the user and the password in DATABASE_URL.",
  "28000": "Correct the user in DATABASE_URL, or allow it to connect (pg_hba.conf, rds.force_ssl wants TLS).",
  "3D000": "Create that database, or correct its name in DATABASE_URL.",
  "42501": "Grant this user the rights on the schema taskiq, or use the user who migrated it.",
  "53300": "Lower TASKIQ_DATABASE_POOL or the number of processes, or raise max_connections.",
  SELF_SIGNED_CERT_IN_CHAIN: TLS_ADVICE,
  DEPTH_ZERO_SELF_SIGNED_CERT: TLS_ADVICE,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: TLS_ADVICE,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: TLS_ADVICE,
  ERR_TLS_CERT_ALTNAME_INVALID: TLS_ADVICE,
  CERT_HAS_EXPIRED: "Renew the server's certificate.",
};

function describeFailure(error: unknown, place: string): Finding {
  const { message, code = "" } = describeError(error);
  if (error instanceof TaskiqError) return fail(CHECK, redactText(message), null);
  const told = `${place}: ${redactText(message)}.`;
  const noTls = message.includes("does not support SSL");
  const advice =
    ADVICE[code] ??
    (noTls
      ? "Turn TLS on at the server, or use sslmode=disable where the network is trusted."
      : "Check that DATABASE_URL is right, that the server runs, and that firewall and security group let this machine in.");
  return fail(CHECK, told, advice);
}

function placeOf(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname}:${port === "" ? "5432" : port}${pathname}`;
}

function hostOf(url: string): string {
  return new URL(url).hostname;
}

function isLoopback(host: string): boolean {
  return host === "" || host === "localhost" || host === "[::1]" || /^127\./.test(host);
}
