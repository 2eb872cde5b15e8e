/**
 * Builds the image. Arguments: the tag (default taskiq-aws:local). TASKIQ_IMAGE_BASE is the base image, in production by
 * digest; TASKIQ_IMAGE_PLATFORM the platform, such as linux/arm64.
 */
import { findContainerEngine } from "../container-engine.ts";
import { buildImage, imageSizes, LOCAL_IMAGE } from "../image.ts";
import { runTask } from "../problem.ts";

const DEFAULT_BASE = "node:24-bookworm-slim";

await runTask(async () => {
  const tag = process.argv[2] ?? LOCAL_IMAGE;
  const { TASKIQ_IMAGE_BASE: base, TASKIQ_IMAGE_PLATFORM: platform } = process.env;
  const engine = await findContainerEngine();
  await buildImage(engine, { tag, ...(base !== undefined && { base }), ...(platform !== undefined && { platform }) });
  const sizes = await imageSizes(engine, tag, base ?? DEFAULT_BASE);
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  console.log(`${tag}: ${megabytes(sizes.image)}, of which the base is ${megabytes(sizes.base)}`);
});
