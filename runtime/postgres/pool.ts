/**
 * The one way to the database, on which every wait is bounded.
 *
 * Without a limit on the client's side a frozen server hangs a worker for ever (`statement_timeout` runs on the frozen
 * side), and the error of an idle connection without a listener ends the process.
 */
import type pg from "pg";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";
import { readConnectionString } from "./connection-string.ts";
import { openConnections, type PoolClients } from "./connections.ts";
import { isStalePlan } from "./failure.ts";
import { getTypeParser, named } from "./parameters.ts";
import type { Password } from "./password.ts";
import type { Statement } from "./sql.ts";
import { runTransaction, type Transaction } from "./transaction.ts";

export { isConnectionError, isSerializationError } from "./failure.ts";
export type { Transaction } from "./transaction.ts";

export type Queryable = {
  /**
   * Runs one prepared statement and returns its rows: `json` and `json[]` as their exact text, `timestamptz` as Date, `int8` as number.
   * A parameter, or an element of an array, that is undefined is refused with a TypeError: `pg` would store null.
   */
  query<Row>(statement: Statement, params: readonly unknown[]): Promise<Row[]>;
};

export type Database = Queryable & {
  /**
   * Commits what `work` did, or undoes it when `work` throws, and then throws that error. Nothing is repeated here.
   * Throws `commit_unknown` when the connection failed after COMMIT was sent: it may be committed, or *become* so when a
   * frozen server wakes up. So repeat the fenced statement, or read the row with a lock; a plain read may come too early.
   */
  transaction<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Resolves when the database answered within `timeoutMs`, waiting for a connection included; else throws `database_unavailable`. */
  ping(timeoutMs: number): Promise<void>;
  /** Waits for what runs, at most `closeTimeoutMs`, then cuts it off. Resolves when the sockets are closed. May be called again. */
  close(): Promise<void>;
  /** Statements sent so far, with begin, commit and rollback, without those through `raw`. */
  readonly statements: number;
  /** The connections as they are now. */
  readonly clients: PoolClients;
};

/** What a step needs that may take more than one statement. */
export type Transactional = Pick<Database, "query" | "transaction">;

export type DatabaseOptions = {
  /** `postgres://user:password@host:port/database`, with `?sslmode=verify-full` for TLS. */
  readonly connectionString: string;
  /** PEM file of the certificate authorities to trust. Default: those of Node. */
  readonly caFile?: string | undefined;
  /** Where the password is, when it is not in the URL. */
  readonly password?: Password | undefined;
  /** Most connections at once, from 1. */
  readonly max: number;
  /** Shown in `pg_stat_activity`, at most 63 bytes. */
  readonly applicationName: string;
  /** Hears of connections lost while idle. They are replaced by themselves: worth a log line, nothing else. */
  readonly onError?: ((error: Error) => void) | undefined;
  /** Waiting for a free connection or for a new one. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** Waiting for an answer, measured here: all that a frozen server obeys. Set above `statementTimeoutMs`. Default 8,000. */
  readonly queryTimeoutMs?: number;
  /** A statement's time on the server. Default 5,000. */
  readonly statementTimeoutMs?: number;
  /** Waiting for one lock. Default 3,000. */
  readonly lockTimeoutMs?: number;
  /** Silence inside a transaction, after which the server ends it: it would keep its locks and stop vacuum. Default 10,000. */
  readonly idleInTransactionTimeoutMs?: number;
  /** An unused connection is closed after this time. Default 30,000. */
  readonly idleTimeoutMs?: number;
  /** A connection is replaced at this age, so that an address changed by a failover is found. Default 900,000. */
  readonly maxLifetimeMs?: number;
  /** Default 5,000. */
  readonly closeTimeoutMs?: number;
  readonly clock?: Clock;
};

/** Opens a pool. Nothing is connected before the first statement. Throws `config_invalid` for TLS settings it does not take. */
export function openDatabase(options: DatabaseOptions): Database {
  const { closeTimeoutMs = 5_000, clock = systemClock } = options;
  const connections = openConnections(poolConfig(options), (error) => options.onError?.(error), options.password);
  let closing: Promise<void> | undefined;

  async function queryOnce<Row>(query: pg.QueryConfig): Promise<Row[]> {
    const connection = await connections.checkOut();
    try {
      return (await connection.send<Row>(query)).rows;
    } finally {
      connection.release();
    }
  }

  async function end(): Promise<void> {
    try {
      await within(clock, closeTimeoutMs, connections.drain());
    } catch {
      // A transaction that is not over, or a frozen server, which never closes its side.
      connections.cut();
    }
  }

  return {
    async query<Row>(statement: Statement, params: readonly unknown[]) {
      const query = named(statement, params);
      try {
        return await queryOnce<Row>(query);
      } catch (error) {
        // The next connection is a fresh one, which plans anew.
        if (!isStalePlan(error)) throw error;
        return await queryOnce<Row>(query);
      }
    },
    async transaction(work) {
      return await runTransaction(await connections.checkOut(), work);
    },
    async ping(timeoutMs) {
      // query_timeout is understood per query too, but the types only know it per connection.
      const probe = { text: "select 1", query_timeout: timeoutMs } as pg.QueryConfig;
      try {
        await within(clock, timeoutMs, queryOnce(probe));
      } catch (cause) {
        const got = cause instanceof Error ? cause.message : String(cause);
        throw new TaskiqError(
          "database_unavailable",
          `expected the database to answer within ${timeoutMs} ms, got: ${got}. Check that it runs and that DATABASE_URL names it.`,
          { cause },
        );
      }
    },
    close() {
      closing ??= end();
      return closing;
    },
    get statements() {
      return connections.statements;
    },
    get clients() {
      return connections.clients;
    },
  };
}

/**
 * Every statement finds its rows by an index and is planned once. A plan made while the tables were empty would scan them, and be
 * kept while they grow; a custom plan for each call would cost more than the statement.
 */
const PLANNING = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off";

function poolConfig(options: DatabaseOptions): pg.PoolConfig {
  return {
    ...serverOf(options),
    max: options.max,
    application_name: options.applicationName,
    options: PLANNING,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 3_000,
    query_timeout: options.queryTimeoutMs ?? 8_000,
    statement_timeout: options.statementTimeoutMs ?? 5_000,
    lock_timeout: options.lockTimeoutMs ?? 3_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 10_000,
    idleTimeoutMillis: options.idleTimeoutMs ?? 30_000,
    maxLifetimeSeconds: (options.maxLifetimeMs ?? 900_000) / 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    types: { getTypeParser },
  };
}

function serverOf({ connectionString, caFile, password }: DatabaseOptions): pg.PoolConfig {
  const { connectionString: address, ssl } = readConnectionString(connectionString, caFile);
  if (password === undefined) return { connectionString: address, ssl };
  // What a connection string says wins in `pg`, and one without a password says "none".
  const { hostname, port, username, pathname } = new URL(address);
  return {
    host: hostname,
    port: port === "" ? 5432 : Number(port),
    user: decodeURIComponent(username),
    database: decodeURIComponent(pathname.slice(1)),
    password: password.read,
    ssl,
  };
}

async function within<T>(clock: Clock, limitMs: number, promise: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const limit = clock.after(limitMs, stop.signal).then(() => {
    throw new Error(`no answer within ${limitMs} ms`);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    stop.abort();
  }
}
