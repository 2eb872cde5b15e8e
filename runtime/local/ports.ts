/**
 * TCP ports on the loopback address. A stack whose state is kept has the same ports at every start, because the
 * addresses of queues and databases get written down elsewhere. They are chosen once, from below the range that
 * systems hand out by themselves, so a second checkout gets others.
 */
import { once } from "node:events";
import { readFile, rename, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { z } from "zod";
import { type Clock, systemClock } from "../clock.ts";
import { TaskiqError } from "../errors.ts";

export type Ports = { readonly postgres: number; readonly aws: number };

const FIRST: Ports = { postgres: 15_432, aws: 14_566 };
const ATTEMPTS = 200;
const POLL_MS = 50;

const portsShape = z.object({ postgres: z.int().min(1).max(65_535), aws: z.int().min(1).max(65_535) });

/** A port that nothing listened on a moment ago. */
export async function freePort(): Promise<number> {
  const port = await tryPort(0);
  if (port === undefined) throw new TaskiqError("config_invalid", "expected a free port on 127.0.0.1, there is none.");
  return port;
}

/** The ports written in `file`, or new ones, which are written there. */
export async function keptPorts(file: string): Promise<Ports> {
  const kept = await readPorts(file);
  if (kept !== undefined) return kept;
  const ports = { postgres: await firstFree(FIRST.postgres), aws: await firstFree(FIRST.aws) };
  await writeFile(`${file}.new`, `${JSON.stringify(ports)}\n`);
  await rename(`${file}.new`, file);
  return ports;
}

/** Resolves when nothing listens on `port`; a stack that is just ending gets `waitMs` to do so. Throws `config_invalid` after that. */
export async function untilPortIsFree(port: number, waitMs: number, clock: Clock = systemClock): Promise<void> {
  const deadline = clock.nowMs() + waitMs;
  while ((await tryPort(port)) === undefined) {
    if (clock.nowMs() >= deadline) throw portInUse(port);
    await clock.after(POLL_MS);
  }
}

function portInUse(port: number): TaskiqError {
  return new TaskiqError(
    "config_invalid",
    `expected port ${port} of 127.0.0.1 to be free, another process listens on it. End that process (another stack with ` +
      "the same state?), or remove ports.json from the state folder to have other ports chosen.",
  );
}

async function firstFree(start: number): Promise<number> {
  for (let port = start; port < start + ATTEMPTS; port++) {
    if ((await tryPort(port)) !== undefined) return port;
  }
  throw portInUse(start);
}

/** Listens for a moment; undefined when the port is taken. */
async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch {
    return undefined;
  }
  // An address of a TCP server is never a string.
  const { port: taken } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return taken;
}

async function readPorts(file: string): Promise<Ports | undefined> {
  try {
    return portsShape.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    return undefined;
  }
}
