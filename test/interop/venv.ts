/** The virtual environment of the Python side, under `.local/`: made when it is not there, or made from other requirements. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL("./python/requirements.txt", import.meta.url));
const FOLDER = join(ROOT, ".local/interop-venv");

/** Its programs. */
export const BIN = join(FOLDER, "bin");

/** Before all tests. `PYTHON` says what makes it; default `python3`, which has to be 3.10 or newer. */
export default async function prepare(): Promise<void> {
  const base = process.env.PYTHON ?? "python3";
  const made = join(FOLDER, "made-from.txt");
  const wanted = `${base}\n${await readFile(REQUIREMENTS, "utf8")}`;
  if ((await readFile(made, "utf8").catch(() => "")) === wanted) return;
  console.log(`making ${FOLDER} (a minute)`);
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(join(ROOT, ".local"), { recursive: true });
  await run(base, ["-m", "venv", FOLDER]);
  await run(join(BIN, "python"), ["-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]);
  await writeFile(made, wanted);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with code ${code}`);
}
