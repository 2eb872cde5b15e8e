/**
 * What a child process gets of this process's environment. A task in a process of its own may run code that is not trusted with the account:
 * it gets neither AWS credentials nor anything that this product is configured with, nor what looks like a secret.
 *
 * This keeps secrets out of the child's reach by accident, not by force: a child of the same user can read /proc of its parent.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

export type EnvironmentRules = {
  /** AWS_*, and where a container finds the credentials of its role. */
  readonly awsCredentials: "none" | "inherit";
  /** Names that are given as well: to a task's process although they look like secrets, to a command although it gets few. */
  readonly allowed: readonly string[];
};

const AWS = /^(?:AWS|ECS)_/;
/** Our own configuration, the database's, and how Node talks to the parent of this process. */
const OURS = /^(?:TASKIQ_|DAGSTER_|PG[A-Z]|DATABASE_URL$|SERVICE_ROLE$|NODE_CHANNEL_|NODE_UNIQUE_ID$)/;
const SECRET =
  /^OTEL_EXPORTER_.*HEADERS$|passw|secret|credential|apikey|(?:^|_)(?:pass|passphrase|tokens?|keys?|auth|authorization|cookie|dsn)(?:_|$)/i;
/** user:password@ in a URL, whatever the name of the variable. */
const PASSWORD_IN_URL = /:\/\/[^\s/@]*:[^\s/@]+@/;
const HEAP_LIMIT = /(?:^|\s)--max[-_]old[-_]space[-_]size\S*/g;

/** What every command gets, so that programs are found and texts are read as here. */
const COMMAND_BASE = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|SSL_CERT_FILE|SSL_CERT_DIR)$/;

/** The SDKs would go on to look in files of the home directory and ask the machine for its role. */
const NO_AWS = {
  AWS_CONFIG_FILE: "/dev/null",
  AWS_SHARED_CREDENTIALS_FILE: "/dev/null",
  AWS_EC2_METADATA_DISABLED: "true",
};

/** For a task's process. */
export function processEnvironment(environment: Environment, rules: EnvironmentRules): Record<string, string> {
  const allowed = new Set(rules.allowed);
  const given: Record<string, string> = rules.awsCredentials === "none" ? { ...NO_AWS } : {};
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue;
    const isGiven = AWS.test(name)
      ? rules.awsCredentials === "inherit"
      : !OURS.test(name) && (allowed.has(name) || !(SECRET.test(name) || PASSWORD_IN_URL.test(value)));
    if (isGiven) given[name] = value;
  }
  const { NODE_OPTIONS: nodeOptions } = given;
  // The child's heap has a limit of its own.
  if (nodeOptions !== undefined) given.NODE_OPTIONS = nodeOptions.replace(HEAP_LIMIT, "").trim();
  return given;
}

/** For a command: a few names of this process, those that the rules allow, and what the caller gives, which wins. */
export function commandEnvironment(
  environment: Environment,
  given: Environment,
  rules: EnvironmentRules,
): Record<string, string> {
  const allowed = new Set(rules.allowed);
  const inherits = rules.awsCredentials === "inherit";
  const all: Record<string, string> = inherits ? {} : { ...NO_AWS };
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue;
    if (COMMAND_BASE.test(name) || allowed.has(name) || (inherits && AWS.test(name))) all[name] = value;
  }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) all[name] = value;
  return all;
}
