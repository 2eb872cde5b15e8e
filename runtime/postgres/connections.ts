/**
 * The connections of one pool, each with the one thing that `pg` forgets: whether, and why, it can no longer be used.
 *
 * A connection is used until it breaks (a lost socket, an answer that did not come in time, FATAL), reaches its age, or
 * holds plans older than a migration that broke one of them. After that it is closed and never given out again.
 */
import { once } from "node:events";
import pg from "pg";
import { TaskiqError } from "../errors.ts";
import { breaksConnection, isPasswordRefused, isStalePlan } from "./failure.ts";
import type { Password } from "./password.ts";

/** A connection checked out by one user, who has to release it exactly once. */
export type Connection = {
  readonly client: pg.PoolClient;
  /** What broke it, or undefined while it is good. */
  readonly lost: Error | undefined;
  /** Throws the server's error, and on a connection that is lost what broke it: that says more than "not queryable". */
  send<Row>(query: pg.QueryConfig): Promise<pg.QueryResult & { rows: Row[] }>;
  /** Marks it as broken by an error that did not come through `send`. */
  breakOff(error: Error): void;
  release(): void;
};

/** `waiting`: who waits for a connection. */
export type PoolClients = { readonly total: number; readonly idle: number; readonly waiting: number };

export type Connections = {
  /** Throws a connection error when none is free, or none can be made, within the pool's time. */
  checkOut(): Promise<Connection>;
  /** Resolves when every connection was released and its socket is closed. */
  drain(): Promise<void>;
  /** Closes what is still open, in use or not. */
  cut(): void;
  readonly statements: number;
  readonly clients: PoolClients;
};

type State = { lost: Error | undefined; readonly generation: number };

export function openConnections(
  config: pg.PoolConfig,
  onIdleError: (error: Error) => void,
  password?: Password,
): Connections {
  const pool = new pg.Pool(config);
  const states = new Map<pg.PoolClient, State>();
  /** Grows when a plan turns out to be outdated: what broke on one connection is broken on all that are as old. */
  let generation = 0;
  let statements = 0;

  pool.on("error", onIdleError);
  pool.on("connect", (client) => {
    const state: State = { lost: undefined, generation };
    states.set(client, state);
    // While it is checked out and between two statements nobody else listens, and an unheard error ends the process.
    client.on("error", (error) => {
      state.lost ??= error;
    });
  });
  pool.on("remove", (client) => states.delete(client));

  function connectionOf(client: pg.PoolClient, state: State): Connection {
    return {
      client,
      get lost() {
        return state.lost;
      },
      async send<Row>(query: pg.QueryConfig) {
        // A broken one may look alive for a moment longer; a COMMIT sent into it would have an unknown outcome.
        if (state.lost !== undefined) throw state.lost;
        statements++;
        try {
          return await client.query<Row & pg.QueryResultRow>(query);
        } catch (error) {
          if (breaksConnection(error)) state.lost ??= error;
          if (isStalePlan(error) && state.generation === generation) generation++;
          throw error;
        }
      },
      breakOff(error) {
        state.lost ??= error;
      },
      release() {
        client.release(state.lost !== undefined);
      },
    };
  }

  async function connect(): Promise<pg.PoolClient> {
    const used = password?.latest;
    try {
      return await pool.connect();
    } catch (error) {
      if (password === undefined || !isPasswordRefused(error)) throw error;
      if (await password.renew(used ?? password.latest)) return await pool.connect().catch(refused);
      return refused(error);
    }
  }

  return {
    async checkOut() {
      for (;;) {
        const client = await connect();
        const state = states.get(client);
        if (state?.generation === generation) return connectionOf(client, state);
        client.release(true);
      }
    },
    async drain() {
      await pool.end();
      // The pool calls itself ended before its sockets are closed; a database in use could not be dropped yet.
      while (states.size > 0) await once(pool, "remove");
    },
    cut() {
      for (const [client, state] of states) {
        state.lost ??= new Error("Connection terminated: the pool was closed while it was in use");
        client.connection.stream.destroy();
      }
    },
    get statements() {
      return statements;
    },
    get clients() {
      return { total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount };
    },
  };
}

/** For a moment of a rotation the secret and the database do not agree: to wait and try again is right. */
function refused(cause: unknown): never {
  if (!isPasswordRefused(cause)) throw cause;
  throw new TaskiqError(
    "database_unavailable",
    `expected the database to take the password of its secret, got: ${cause.message}. It is being rotated, or TASKIQ_DATABASE_SECRET_ARN is another database's.`,
    { cause },
  );
}
