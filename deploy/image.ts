/** Builds the image of every role. */
import { fileURLToPath } from "node:url";
import { read, run } from "./command.ts";
import type { ContainerEngine } from "./container-engine.ts";

export const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));

/** What Pulumi.localstack.yaml names. */
export const LOCAL_IMAGE = "taskiq-aws:local";

export type BuildOptions = {
  readonly tag: string;
  /** The base image, by digest in production. Default: that of the Dockerfile. */
  readonly base?: string;
  /** Such as linux/arm64. Default: that of this machine. */
  readonly platform?: string;
  /** Shows what the build writes only where it fails. Default false. */
  readonly quiet?: boolean;
};

/** Throws Problem when the build fails. */
export async function buildImage({ program }: ContainerEngine, options: BuildOptions): Promise<void> {
  const { tag, base, platform, quiet } = options;
  const args = ["build", "--file", "runtime/Dockerfile", "--tag", tag];
  if (base !== undefined) args.push("--build-arg", `BASE=${base}`);
  if (platform !== undefined) args.push("--platform", platform);
  if (quiet === true) await read(program, [...args, "."], { cwd: REPOSITORY });
  else await run(program, [...args, "."], { cwd: REPOSITORY });
}

/** Another tag for the image, of its content: the same after a build that changed nothing. */
export async function tagByContent({ program }: ContainerEngine, image: string): Promise<string> {
  const id = await read(program, ["image", "inspect", "--format", "{{.Id}}", image]);
  const tag = `taskiq-aws:${id.replace("sha256:", "").slice(0, 12)}`;
  await read(program, ["tag", image, tag]);
  return tag;
}

/** Removes the tags that `tagByContent` gave. */
export async function removeContentTags({ program }: ContainerEngine): Promise<void> {
  const listed = await read(program, [
    "images",
    "--format",
    "{{.Repository}}:{{.Tag}}",
    "--filter",
    "reference=taskiq-aws",
  ]);
  const tags = listed.split("\n").filter((tag) => /(^|\/)taskiq-aws:[0-9a-f]{12}$/.test(tag));
  if (tags.length > 0) await read(program, ["rmi", ...tags]);
}

/** Bytes of the image and of the base it was built on. */
export async function imageSizes(
  { program }: ContainerEngine,
  image: string,
  base: string,
): Promise<{ image: number; base: number }> {
  const sizeOf = async (name: string): Promise<number> =>
    Number(await read(program, ["image", "inspect", "--format", "{{.Size}}", name]));
  return { image: await sizeOf(image), base: await sizeOf(base) };
}
