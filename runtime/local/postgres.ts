/**
 * A real Postgres server from the packages of npm, for the demo and the tests.
 *
 * Starting and stopping, in this order: folder and programs are made usable for the user that runs them → the cluster is
 * made if there is none (postgres-cluster.ts) → the server runs (postgres-process.ts) → stop: SIGINT (fast), SIGQUIT,
 * SIGKILL, each after a bound → what is not kept is removed. A guard does the last two if this process dies.
 */
import type { ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import { openDataFolder } from "./data-folder.ts";
import { type EndStep, endProcess } from "./end-process.ts";
import { openGuard } from "./guard.ts";
import { preparePostgresBinaries } from "./postgres-binaries.ts";
import { CLUSTER_USER, makeCluster } from "./postgres-cluster.ts";
import { FAST_STOP, IMMEDIATE_STOP, launch, type ServerFiles } from "./postgres-process.ts";

export type PostgresOptions = {
  /**
   * Folder of this server; made when absent. Holds `cluster/`, `password` and `server.log`. For root it becomes a link to a
   * folder under /var/tmp where the server's user cannot get to it: whoever removes a persistent one removes both.
   */
  readonly dataDir: string;
  /** On 127.0.0.1. Default: a free one. */
  readonly port?: number;
  /** True: data is written through to the disk and stays. False: it is not, and `stop` removes the folder, which must be empty at first. */
  readonly persistent: boolean;
  /** Hears of a server that ended without having been asked to. */
  readonly onLost?: (reason: string) => void;
  readonly clock?: Clock;
};

export type RestartOptions = {
  /** Shut down as after a crash, so that the next start has to recover. Default false. */
  readonly immediate?: boolean;
  /** Awaited while no server runs. */
  readonly whileDown?: () => Promise<void>;
};

export type Postgres = {
  /** `postgres://taskiq:…@127.0.0.1:port/postgres`, a superuser. The same after a restart. */
  readonly url: string;
  readonly port: number;
  /** Of the server's first process; another one after a restart. */
  readonly pid: number;
  readonly logFile: string;
  restart(options?: RestartOptions): Promise<void>;
  /** Ends the server within 12 s. May be called again. */
  stop(): Promise<void>;
};

const COMMON_SETTINGS = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "max_connections=200",
  "timezone=UTC",
  "log_timezone=UTC",
  "lc_messages=C",
];
/**
 * For data that nobody needs after a crash of the machine. A crash of the server alone must lose nothing even so, which is
 * why synchronous_commit stays on: without it the last commits are only in the memory of the server.
 */
const VOLATILE_SETTINGS = ["fsync=off", "full_page_writes=off"];

/** Starts a server. Throws `config_invalid` or `database_unavailable`, which says what the server wrote. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const { dataDir, persistent, clock = systemClock } = options;
  const folder = await openDataFolder(dataDir, persistent);
  const programs = await preparePostgresBinaries(folder.user).catch(async (error: unknown) => {
    if (!persistent) await removeAll(folder.paths);
    throw error;
  });
  const leftovers = [...(persistent ? [] : folder.paths), ...(programs.copy === undefined ? [] : [programs.copy])];
  const cluster = join(folder.path, "cluster");
  const files: ServerFiles = {
    cluster,
    pid: join(cluster, "postmaster.pid"),
    password: join(folder.path, "password"),
    log: join(folder.path, "server.log"),
    cwd: folder.path,
    user: folder.user,
  };
  const flags = settings(persistent);
  const guard = openGuard(files.pid, leftovers);

  let server: ChildProcess;
  let port: number;
  let password: string;
  let isStopping = false;
  let stopping: Promise<void> | undefined;

  /** Ends what runs and removes what must not stay. */
  async function cleanUp(): Promise<void> {
    await removeAll(leftovers);
    guard.close();
  }

  async function start(wanted: number | undefined): Promise<void> {
    const running = await launch({ files, program: programs.postgres, flags, port: wanted, guard, clock });
    ({ server, port } = running);
    isStopping = false;
    // A server that nobody stops must not keep this process from ending; the guard then ends the server.
    server.unref();
    server.once("exit", (code, signal) => {
      guard.watch(0);
      if (!isStopping) options.onLost?.(`it ended with ${signal ?? `code ${code}`}; see ${files.log}`);
    });
  }

  async function halt(steps: readonly EndStep[]): Promise<void> {
    isStopping = true;
    await endProcess(server, steps);
  }

  try {
    password = await makeCluster(files, programs.initdb, guard);
    await start(options.port);
  } catch (error) {
    await cleanUp();
    throw error;
  }

  return {
    get url() {
      return `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/postgres`;
    },
    get port() {
      return port;
    },
    get pid() {
      // A server that was started has one.
      return server.pid as number;
    },
    logFile: files.log,
    async restart({ immediate = false, whileDown } = {}) {
      await halt(immediate ? IMMEDIATE_STOP : FAST_STOP);
      await whileDown?.();
      await start(port);
    },
    stop() {
      stopping ??= halt(FAST_STOP).then(cleanUp);
      return stopping;
    },
  };
}

async function removeAll(paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { recursive: true, force: true });
}

function settings(persistent: boolean): string[] {
  return [...COMMON_SETTINGS, ...(persistent ? [] : VOLATILE_SETTINGS)].flatMap((one) => ["-c", one]);
}
