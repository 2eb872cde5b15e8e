/** The images of the test: ours, the same once more under another name, and one that ends as soon as it starts. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { read } from "../../deploy/command.ts";
import type { ContainerEngine } from "../../deploy/container-engine.ts";
import { buildImage } from "../../deploy/image.ts";

export const BASE = "node:24-bookworm-slim";
export const FIRST = "taskiq-aws:deploy-test-1";
export const SECOND = "taskiq-aws:deploy-test-2";
export const BROKEN = "taskiq-aws:deploy-test-broken";

/** @param given an image that exists, used instead of building one */
export async function buildImages(engine: ContainerEngine, folder: string, given: string | undefined): Promise<void> {
  const { program } = engine;
  if (given === undefined || given === "") await buildImage(engine, { tag: FIRST, quiet: true });
  else await read(program, ["tag", given, FIRST]);
  await derive(engine, folder, SECOND, ["LABEL org.opencontainers.image.version=2"]);
  await derive(engine, folder, BROKEN, ['CMD ["--eval", "process.exit(3)"]']);
}

export async function removeImages({ program }: ContainerEngine): Promise<void> {
  await read(program, ["rmi", "--force", BROKEN, SECOND, FIRST]);
}

async function derive(
  { program }: ContainerEngine,
  folder: string,
  tag: string,
  lines: readonly string[],
): Promise<void> {
  const file = join(folder, `Dockerfile.${tag.split("-").at(-1)}`);
  await writeFile(file, [`FROM ${FIRST}`, ...lines, ""].join("\n"));
  await read(program, ["build", "--quiet", "--file", file, "--tag", tag, folder]);
}
