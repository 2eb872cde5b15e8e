/** Docker or Podman, whichever is there and answers. */
import { capture, isInstalled, read } from "./command.ts";
import { Problem } from "./problem.ts";

export type ContainerEngine = {
  readonly program: "docker" | "podman";
  /** The Unix socket of its API, which an emulator starts containers through. */
  readonly socket: string;
};

const PROGRAMS = ["docker", "podman"] as const;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The engine that TASKIQ_CONTAINER_ENGINE names, else the first of Docker and Podman that answers.
 * Throws Problem when none is installed, or when those that are do not answer.
 */
export async function findContainerEngine(env: Environment = process.env): Promise<ContainerEngine> {
  const wanted = env.TASKIQ_CONTAINER_ENGINE;
  const candidates = PROGRAMS.filter((one) => wanted === undefined || wanted === "" || one === wanted);
  if (candidates.length === 0) {
    throw new Problem(`TASKIQ_CONTAINER_ENGINE: expected docker or podman, got "${wanted}".`);
  }
  const silent: string[] = [];
  for (const program of candidates) {
    if (!(await isInstalled(program))) continue;
    const { code, stderr } = await capture(program, ["version"]);
    if (code === 0) return { program, socket: await socketOf(program, env) };
    silent.push(`${program} does not answer: ${lastLine(stderr)}`);
  }
  throw new Problem(
    silent.length > 0
      ? `${silent.join("\n")}\nStart it (Docker Desktop, "systemctl start docker" or "podman machine start") and try again.`
      : `Missing: ${candidates.join(" or ")}. Install Docker (https://docs.docker.com/get-docker/) or Podman (https://podman.io/docs/installation).`,
  );
}

async function socketOf(program: ContainerEngine["program"], env: Environment): Promise<string> {
  const host = env.DOCKER_HOST;
  if (host?.startsWith("unix://")) return host.slice("unix://".length);
  if (program === "docker") return "/var/run/docker.sock";
  return (await read("podman", ["info", "--format", "{{.Host.RemoteSocket.Path}}"])).replace(/^unix:\/\//, "");
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "no reason given";
}
