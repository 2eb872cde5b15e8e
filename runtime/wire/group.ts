/** The text by which SQS knows a group: an ordering key on FIFO queues, a tenant on fair ones. */
import { createHash } from "node:crypto";

/** SQS takes 128 of these characters as a group. */
const GROUP = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/;

/** The group of a task in a FIFO queue: tenants never share one, whatever their keys are. */
export function groupKeyOf(tenant: string, key: string): string {
  return sqsGroupOf(`${tenant}/${key}`);
}

/** A text as SQS takes it for a group: itself, or its digest where it is too long or has other characters. */
export function sqsGroupOf(text: string): string {
  return GROUP.test(text) ? text : `sha256:${createHash("sha256").update(text).digest("hex")}`;
}
