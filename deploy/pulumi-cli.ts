/** The Pulumi command line, on one stack. */
import { mkdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { capture, isInstalled, read, run } from "./command.ts";
import { REPOSITORY } from "./image.ts";
import { Problem } from "./problem.ts";

export type StackOptions = {
  readonly stack: string;
  /** The folder of a state of its own. Default: the backend that the user is logged in to. */
  readonly stateDir?: string;
  /** What guards the secrets of that state. */
  readonly passphrase?: string;
  /** The stack's settings. Default: Pulumi.STACK.yaml. */
  readonly configFile?: string;
  /** Shows what Pulumi writes only where it fails. Default false. */
  readonly quiet?: boolean;
};

/** One resource that an update would change. */
export type Step = {
  /** create, update, replace, delete, … */
  readonly op: string;
  readonly urn: string;
  /** The properties that differ, where the step is an update. */
  readonly diffReasons?: readonly string[];
};

export type PulumiStack = {
  /** Makes the stack where it does not exist. */
  create(): Promise<void>;
  exists(): Promise<boolean>;
  up(...args: readonly string[]): Promise<void>;
  preview(...args: readonly string[]): Promise<void>;
  destroy(...args: readonly string[]): Promise<void>;
  /** Forgets the stack and its state, once nothing is left in it. */
  remove(): Promise<void>;
  /** What `preview` would change; empty when nothing. */
  changes(): Promise<readonly Step[]>;
  outputs(): Promise<Readonly<Record<string, unknown>>>;
};

/** Throws Problem when the command line is not installed. */
export async function requirePulumi(): Promise<void> {
  if (await isInstalled("pulumi")) return;
  throw new Problem(
    'Missing: the Pulumi command line. "mise install" brings the version of mise.toml; or see https://www.pulumi.com/docs/install/.',
  );
}

/** Steps that leave things as they are, and the two that a replacement, which is listed itself, is made of. */
const NO_CHANGE = ["same", "read", "create-replacement", "delete-replaced"];

export async function openStack({
  stack,
  stateDir,
  passphrase,
  configFile,
  quiet,
}: StackOptions): Promise<PulumiStack> {
  await requirePulumi();
  if (stateDir !== undefined) await mkdir(stateDir, { recursive: true });
  const options = {
    cwd: REPOSITORY,
    env: {
      PULUMI_SKIP_UPDATE_CHECK: "true",
      ...(stateDir !== undefined && { PULUMI_BACKEND_URL: pathToFileURL(stateDir).href }),
      ...(passphrase !== undefined && { PULUMI_CONFIG_PASSPHRASE: passphrase }),
    },
  };
  const onStack = ["--stack", stack, "--non-interactive"];
  const withConfig = [...onStack, ...(configFile === undefined ? [] : ["--config-file", configFile])];

  async function pulumi(...args: readonly string[]): Promise<void> {
    if (quiet === true) await read("pulumi", args, options);
    else await run("pulumi", args, options);
  }

  async function exists(): Promise<boolean> {
    // The shape is that of `pulumi stack ls --json`.
    const listed = JSON.parse(await read("pulumi", ["stack", "ls", "--json"], options)) as { name: string }[];
    return listed.some(({ name }) => name === stack || name.endsWith(`/${stack}`));
  }

  return {
    exists,
    async create() {
      if (!(await exists())) await pulumi("stack", "init", "--no-select", ...onStack);
    },
    up: (...args) => pulumi("up", "--yes", "--skip-preview", ...withConfig, ...args),
    preview: (...args) => pulumi("preview", ...withConfig, ...args),
    destroy: (...args) => pulumi("destroy", "--yes", "--skip-preview", ...withConfig, ...args),
    remove: () => pulumi("stack", "rm", "--yes", "--preserve-config", ...onStack),
    async changes() {
      const { code, stdout, stderr } = await capture("pulumi", ["preview", "--json", ...withConfig], options);
      if (code !== 0) throw new Problem(`pulumi preview ended with ${code}:\n${stderr}\n${failuresIn(stdout)}`);
      // The shape is that of `pulumi preview --json`.
      const { steps = [] } = JSON.parse(stdout) as { steps?: Step[] };
      return steps.filter(({ op }) => !NO_CHANGE.includes(op));
    },
    async outputs() {
      // Outputs are whatever the program exports.
      return JSON.parse(await read("pulumi", ["stack", "output", "--json", ...onStack], options)) as Record<
        string,
        unknown
      >;
    },
  };
}

/** The messages in a failed preview's JSON, which are all there is to see of the reason. */
function failuresIn(stdout: string): string {
  try {
    // The shape is that of `pulumi preview --json`.
    const { diagnostics = [] } = JSON.parse(stdout) as { diagnostics?: { message: string; severity: string }[] };
    return diagnostics.map(({ message }) => message).join("\n");
  } catch {
    return stdout;
  }
}
