/**
 * The limit keys of tasks on their way in: those of the definition and those of the queue, made known to the database before the first row that has
 * them. What this process has written it remembers; somebody else's change of a limit lasts until the next process starts.
 */

import type { TaskDefinition, TaskLimit } from "../define/task.ts";
import { TaskiqError } from "../errors.ts";
import type { QueueOptions } from "../model/queue.ts";
import type { Queryable } from "../postgres/pool.ts";
import { ensureLimits, type LimitSetting } from "./limits.ts";

export type LimitBook = {
  /** The limits of a task with this input. Throws `input_invalid` where a key cannot be made from it, and what the database throws. */
  of(
    definition: TaskDefinition,
    queue: string,
    options: QueueOptions,
    input: unknown,
    /** Limits of this task alone. Default none. */
    own?: readonly LimitSetting[],
  ): Promise<readonly LimitSetting[]>;
};

const NONE: readonly LimitSetting[] = [];
const MAX_KEY_CHARS = 200;
/** Keys remembered; the one written longest ago is forgotten, and written again when it comes. */
const MAX_REMEMBERED = 50_000;

export function createLimitBook(database: Queryable): LimitBook {
  const written = new Map<string, string>();

  return {
    async of(definition, queue, options, input, own = NONE) {
      if (
        own.length === 0 &&
        definition.limits.length === 0 &&
        options.maxRunning === null &&
        options.perSecond === null
      )
        return NONE;
      const settings = different([
        ...own,
        ...definition.limits.map((limit) => settingOf(definition, limit, input)),
        ...(options.maxRunning === null && options.perSecond === null
          ? []
          : [{ key: `queue:${queue}`, max: options.maxRunning, intervalMs: intervalOf(options.perSecond) }]),
      ]);
      const unknown = settings.filter((setting) => written.get(setting.key) !== textOf(setting));
      if (unknown.length > 0) {
        await ensureLimits(database, unknown);
        for (const setting of unknown) {
          written.delete(setting.key);
          written.set(setting.key, textOf(setting));
        }
        for (const key of written.keys()) {
          if (written.size <= MAX_REMEMBERED) break;
          written.delete(key);
        }
      }
      return settings;
    },
  };
}

export function settingOf(
  definition: TaskDefinition,
  { key, maxRunning, perSecond }: TaskLimit,
  input: unknown,
): LimitSetting {
  const name = typeof key === "string" ? key : keyFrom(definition, key, input);
  return { key: `task:${definition.name}:${name}`, max: maxRunning ?? null, intervalMs: intervalOf(perSecond ?? null) };
}

/** The handler sees what the schema puts out, and so does the key. */
function keyFrom(definition: TaskDefinition, make: (input: unknown) => unknown, input: unknown): string {
  try {
    const key = make(definition.input.parse(input));
    // U+001F separates keys on their way to the database, which cannot hold U+0000.
    if (
      typeof key === "string" &&
      key !== "" &&
      key.length <= MAX_KEY_CHARS &&
      !key.includes("\0") &&
      !key.includes("\u001f")
    )
      return key;
    throw new Error(`expected 1 to ${MAX_KEY_CHARS} characters, got ${JSON.stringify(key)?.slice(0, 80)}`);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TaskiqError(
      "input_invalid",
      `input: the limit key of ${definition.name} cannot be made from it: ${reason}. Correct the input, or the key's function.`,
      { cause, details: { issues: [{ path: "input", message: "no limit key can be made from it" }] } },
    );
  }
}

export function different(settings: readonly LimitSetting[]): readonly LimitSetting[] {
  return [...new Map(settings.map((setting) => [setting.key, setting])).values()];
}

export function intervalOf(perSecond: number | null): number | null {
  return perSecond === null ? null : 1_000 / perSecond;
}

function textOf({ max, intervalMs }: LimitSetting): string {
  return `${max}:${intervalMs}`;
}
