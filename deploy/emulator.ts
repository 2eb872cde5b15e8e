/** Finds the emulator on its port, starts one where none listens, and stops the one that was started here. */
import { spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { capture, read, run } from "./command.ts";
import { type ContainerEngine, findContainerEngine } from "./container-engine.ts";
import { DEFAULT_EMULATOR, EMULATORS, type Emulator, isEmulatorName } from "./emulators.ts";
import { Problem } from "./problem.ts";
import { waitFor } from "./wait.ts";

export const EMULATOR_PORT = 4_566;
export const EMULATOR_URL = `http://localhost:${EMULATOR_PORT}`;

const CONTAINER = "taskiq-emulator";
const NETWORK = "taskiq-emulator";
/** An AWS SDK accepts credentials of a task over plain HTTP from this address only. */
const SUBNET = "169.254.170.0/24";
const ADDRESS = "169.254.170.2";
const READY_MS = 60_000;

type Environment = Readonly<Record<string, string | undefined>>;
type Variables = Readonly<Record<string, string>>;

/** What answers on the emulator's port, or null where nothing listens. */
export async function findEmulator(port = EMULATOR_PORT): Promise<string | null> {
  if (!(await listens(port))) return null;
  const answers = await Promise.all([
    title(port, "/_ministack/health", "MiniStack"),
    title(port, "/_localstack/health", "an emulator"),
  ]);
  return answers.find((one) => one !== null) ?? "something that answers no health check";
}

/** Throws Problem where something listens on this port. */
export async function demandFreePort(port: number): Promise<void> {
  const found = await findEmulator(port);
  if (found !== null) throw new Problem(`Port ${port} is taken already, by ${found}. Use it, or stop it first.`);
}

export type StartOptions = {
  /** Where a process leaves its number and its log. */
  readonly stateDir: string;
  /** Whether it checks signatures and policies; a command gets AUTH=true. Default false. */
  readonly enforceIam?: boolean;
  /** Whether it has to run the containers of tasks and databases. Default false. */
  readonly runsContainers?: boolean;
  readonly env?: Environment;
};

/**
 * Starts the emulator that TASKIQ_EMULATOR names (default ministack), or runs TASKIQ_EMULATOR_COMMAND instead, which has to
 * return once the emulator runs. Resolves when it answers.
 * Throws Problem when the port is taken, the emulator is not known or cannot do what is asked, or what it needs is missing.
 */
export async function startEmulator(options: StartOptions): Promise<void> {
  const { stateDir, enforceIam = false, runsContainers = false, env = process.env } = options;
  await demandFreePort(EMULATOR_PORT);
  const command = env.TASKIQ_EMULATOR_COMMAND;
  if (command !== undefined && command !== "") {
    console.log(`Starting the emulator by TASKIQ_EMULATOR_COMMAND: ${command}`);
    await run("sh", ["-c", command], enforceIam ? { env: { AUTH: "true" } } : {});
  } else {
    const emulator = chosen(env);
    if (runsContainers && !emulator.runsContainers) {
      throw new Problem(
        `${emulator.title} runs no containers, so nothing would answer. Choose another TASKIQ_EMULATOR.`,
      );
    }
    if (enforceIam && emulator.enforceIam === undefined) throw new Problem(`${emulator.title} does not enforce IAM.`);
    const auth = enforceIam ? (emulator.enforceIam ?? {}) : {};
    console.log(`Starting ${emulator.title}. It lacks:`);
    for (const one of emulator.lacks) console.log(`  - ${one}`);
    if (emulator.pip === undefined) await startContainer(emulator, await findContainerEngine(env), auth);
    else await startProcess(emulator.pip, stateDir, auth);
  }
  await waitFor(`the emulator on port ${EMULATOR_PORT}`, READY_MS, async () => (await findEmulator()) ?? undefined);
}

/** Stops what `startEmulator` started, but nothing that was there before. Says whether there was anything. */
export async function stopEmulator(stateDir: string, env: Environment = process.env): Promise<boolean> {
  const pidFile = join(stateDir, "emulator.pid");
  if (existsSync(pidFile)) {
    const pid = Number(await readFile(pidFile, "utf8"));
    await rm(pidFile);
    try {
      process.kill(pid, "SIGTERM");
      return true;
    } catch {
      return false;
    }
  }
  const engine = await findContainerEngine(env).catch(() => null);
  if (engine === null) return false;
  const { code } = await capture(engine.program, ["container", "inspect", CONTAINER]);
  if (code !== 0) return false;
  await read(engine.program, ["stop", "-t", "30", CONTAINER]);
  await capture(engine.program, ["rm", "--force", CONTAINER]);
  await removeSiblings(engine);
  return true;
}

function chosen(env: Environment): Emulator {
  const name = env.TASKIQ_EMULATOR ?? DEFAULT_EMULATOR;
  if (!isEmulatorName(name)) {
    throw new Problem(`TASKIQ_EMULATOR: expected one of ${Object.keys(EMULATORS).join(", ")}, got "${name}".`);
  }
  const emulator = EMULATORS[name];
  const image = env.TASKIQ_EMULATOR_IMAGE;
  return image === undefined || emulator.image === undefined ? emulator : { ...emulator, image };
}

async function startContainer(emulator: Emulator, engine: ContainerEngine, auth: Variables): Promise<void> {
  const { image, env, runArgs = [] } = emulator;
  if (image === undefined) throw new Error("an emulator without an image and without a package");
  const { program, socket } = engine;
  if ((await capture(program, ["network", "inspect", NETWORK])).code !== 0) {
    await read(program, ["network", "create", "--subnet", SUBNET, NETWORK]);
  }
  await capture(program, ["rm", "--force", CONTAINER]);
  const variables = Object.entries({ ...env?.(NETWORK), ...auth }).flatMap(([name, value]) => [
    "--env",
    `${name}=${value}`,
  ]);
  await run(program, [
    "run",
    "--detach",
    ...["--name", CONTAINER, "--network", NETWORK, "--ip", ADDRESS],
    // On this machine only: it takes any credentials, and starts containers for whoever asks.
    ...["--publish", `127.0.0.1:${EMULATOR_PORT}:${EMULATOR_PORT}`],
    ...["--volume", `${socket}:/var/run/docker.sock`],
    ...variables,
    ...runArgs,
    image,
  ]);
}

/** Containers of tasks and databases, which an emulator that was killed leaves behind on its network. */
async function removeSiblings({ program }: ContainerEngine): Promise<void> {
  const left = await read(program, ["ps", "--all", "--quiet", "--filter", `network=${NETWORK}`]);
  const ids = left.split("\n").filter((id) => id !== "");
  if (ids.length > 0) await capture(program, ["rm", "--force", ...ids]);
  await capture(program, ["network", "rm", NETWORK]);
}

/** A virtual environment of its own, so that nothing is installed into the user's Python. */
async function startProcess(pip: NonNullable<Emulator["pip"]>, stateDir: string, auth: Variables): Promise<void> {
  const venv = join(stateDir, "venv");
  await mkdir(stateDir, { recursive: true });
  const program = join(venv, "bin", pip.command);
  if (!existsSync(program)) {
    await run("python3", ["-m", "venv", venv]);
    await run(join(venv, "bin", "pip"), ["install", "--quiet", "--disable-pip-version-check", pip.requirement]);
  }
  const log = openSync(join(stateDir, "emulator.log"), "a");
  const child = spawn(program, [], {
    detached: true,
    stdio: ["ignore", log, log],
    env: {
      ...process.env,
      BIND_HOST: "127.0.0.1",
      GATEWAY_PORT: String(EMULATOR_PORT),
      // It would listen on a second port of every address.
      IOT_MTLS_ENABLED: "0",
      // Containers that it started could not reach it on this machine's own address.
      DOCKER_HOST: "unix:///nonexistent",
      ...auth,
    },
  });
  child.unref();
  if (child.pid !== undefined) await writeFile(join(stateDir, "emulator.pid"), String(child.pid));
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "localhost", port, timeout: 2_000 });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.on("connect", () => end(true));
    socket.on("timeout", () => end(false));
    socket.on("error", () => end(false));
  });
}

async function title(port: number, path: string, name: string): Promise<string | null> {
  try {
    const response = await fetch(`http://localhost:${port}${path}`, { signal: AbortSignal.timeout(5_000) });
    return response.ok ? name : null;
  } catch {
    return null;
  }
}
