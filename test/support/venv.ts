/** Virtual environments of Python for tests, under `.local/`: made when they are not there, or were made from other requirements. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export type VenvOptions = {
  /** Of its folder. */
  readonly name: string;
  /** A file with pinned versions. */
  readonly requirements: string;
  /** The folder of a package that is installed in place: what is tested is what stands there. */
  readonly editable?: string;
};

/** Where the environment of this name has its programs. */
export function venvBin(name: string): string {
  return join(ROOT, ".local", `${name}-venv`, "bin");
}

/** Returns its interpreter. The variable `PYTHON` says what makes it; default `python3`, which has to be 3.10 to 3.13. */
export async function prepareVenv({ name, requirements, editable }: VenvOptions): Promise<string> {
  const base = process.env.PYTHON ?? "python3";
  const folder = join(venvBin(name), "..");
  const python = join(venvBin(name), "python");
  const made = join(folder, "made-from.txt");
  const asked = [requirements, ...(editable === undefined ? [] : [join(editable, "pyproject.toml")])];
  const wanted = [base, ...(await Promise.all(asked.map((file) => readFile(file, "utf8"))))].join("\n");
  if ((await readFile(made, "utf8").catch(() => "")) === wanted) return python;
  console.log(`making ${folder} (a minute or two)`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, ".."), { recursive: true });
  await run(base, ["-m", "venv", folder]);
  const packages = editable === undefined ? [] : ["-e", editable];
  await run(python, ["-m", "pip", "install", "--quiet", "-r", requirements, ...packages]);
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
