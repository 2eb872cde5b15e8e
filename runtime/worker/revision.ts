/** Which revision of its task definition this container runs, by the metadata that ECS serves to it. */
import { z } from "zod";

const TIMEOUT_MS = 2_000;
/** ECS writes the number as a text. */
const METADATA = z.object({ Revision: z.coerce.number().int().positive() });

/**
 * Null outside ECS, and where the metadata cannot be read within 2 s: a worker is then never taken for outdated.
 * @param metadataUrl `ECS_CONTAINER_METADATA_URI_V4`
 * @see https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
 */
export async function readRevision(metadataUrl: string | null): Promise<number | null> {
  if (metadataUrl === null) return null;
  try {
    const response = await fetch(`${metadataUrl}/task`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return METADATA.parse(await response.json()).Revision;
  } catch {
    return null;
  }
}
