/** The virtual environment of the Python side, made before all tests. */
import { fileURLToPath } from "node:url";
import { prepareVenv, venvBin } from "../support/venv.ts";

const NAME = "interop";

/** Its programs. */
export const BIN = venvBin(NAME);

export default async function prepare(): Promise<void> {
  await prepareVenv({
    name: NAME,
    requirements: fileURLToPath(new URL("./python/requirements.txt", import.meta.url)),
  });
}
