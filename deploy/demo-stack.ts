/** The stack of the demonstration: `localstack`, with a state of its own in this folder. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { REPOSITORY } from "./image.ts";
import { openStack, type PulumiStack, type StackOptions } from "./pulumi-cli.ts";

/** Ignored by git. */
export const STATE_FOLDER = join(REPOSITORY, ".pulumi-state");

/** Belongs to the salt in Pulumi.localstack.yaml; the stack has no secret that is worth one. */
export const PASSPHRASE = "localstack";

export type DemoStackOptions = Partial<Pick<StackOptions, "stateDir" | "configFile" | "quiet">>;

const STACK_STATE = join(STATE_FOLDER, "pulumi");

export function openDemoStack(options: DemoStackOptions = {}): Promise<PulumiStack> {
  return openStack({ stateDir: STACK_STATE, ...options, stack: "localstack", passphrase: PASSPHRASE });
}

/** Drops the state of a stack whose emulator took everything with it. */
export function forgetDemoStack(): Promise<void> {
  return rm(STACK_STATE, { recursive: true, force: true });
}
