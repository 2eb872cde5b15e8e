/** The settings of the `localstack` stack with some changed, in a file of their own, so that the repository's stays as it is. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parse, stringify } from "yaml";
import { REPOSITORY } from "./image.ts";

export type Value = string | number | boolean | readonly string[];

export type Settings = {
  readonly file: string;
  /** Changes settings of the program for the next command. */
  change(values: Readonly<Record<string, Value>>): Promise<void>;
};

type StackFile = { config: Record<string, unknown> };

/** @param values by their names in the program, such as workerMax */
export async function createSettings(file: string, values: Readonly<Record<string, Value>>): Promise<Settings> {
  // A stack file is an object with `config`.
  const content = parse(await readFile(join(REPOSITORY, "Pulumi.localstack.yaml"), "utf8")) as StackFile;

  async function change(changed: Readonly<Record<string, Value>>): Promise<void> {
    for (const [name, value] of Object.entries(changed)) content.config[`taskiq-aws:${name}`] = value;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, stringify(content));
  }

  await change(values);
  return { file, change };
}
