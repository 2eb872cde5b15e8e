/** The virtual environment of the Dagster tests, under `.local/`: made when it is not there, or made from other requirements. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL("./requirements.txt", import.meta.url));
const PACKAGE = join(ROOT, "runtime/dagster");
const FOLDER = join(ROOT, ".local/dagster-venv");

/** The interpreter of an environment with Dagster, pytest and `dagster_taskiq` as it stands. `base`: what makes it. */
export async function prepareVenv(base: string): Promise<string> {
  const python = join(FOLDER, "bin/python");
  const made = join(FOLDER, "made-from.txt");
  const wanted = `${base}\n${await readFile(REQUIREMENTS, "utf8")}${await readFile(join(PACKAGE, "pyproject.toml"), "utf8")}`;
  if ((await readFile(made, "utf8").catch(() => "")) === wanted) return python;
  console.log(`making ${FOLDER} (a minute or two)`);
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(join(ROOT, ".local"), { recursive: true });
  await run(base, ["-m", "venv", FOLDER]);
  // In place: what is tested is what stands in the folder.
  await run(python, ["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS, "-e", PACKAGE]);
  await writeFile(made, wanted);
  return python;
}

/** Runs a program to its end, with its output shown. Returns the exit code where `allowed` has it, and throws otherwise. */
export async function run(
  program: string,
  args: readonly string[],
  { env = {}, allowed = [0] }: { env?: Readonly<Record<string, string>>; allowed?: readonly number[] } = {},
): Promise<number> {
  const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, ...env }, cwd: ROOT });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  const [code, signal] = await once(child, "exit");
  process.off("exit", kill);
  if (!allowed.includes(code)) throw new Error(`${program} ${args.join(" ")} ended with ${signal ?? `code ${code}`}`);
  return code;
}
