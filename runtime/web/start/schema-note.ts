/** What a field takes, in words: `integer, 0 to 10,000`. */

const NUMBER = new Intl.NumberFormat("en-US");

export type NotedSchema = {
  readonly type?: unknown;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly minLength?: number | undefined;
  readonly maxLength?: number | undefined;
  readonly format?: string | undefined;
  readonly pattern?: string | undefined;
  readonly enum?: readonly unknown[] | undefined;
};

/** Null: its kind is plain to see. */
export function noteOf(schema: NotedSchema): string | null {
  if (schema.enum !== undefined || schema.type === "boolean") return null;
  const type = [schema.type]
    .flat()
    .filter((one) => typeof one === "string")
    .map((one) => (one === "string" ? "text" : one));
  const bounds = [
    rangeOf(schema.minimum, schema.maximum, null),
    rangeOf(schema.minLength, schema.maxLength, "character"),
    schema.format === undefined ? null : formatOf(schema.format),
    schema.pattern === undefined ? null : `like ${schema.pattern}`,
  ].filter((part) => part !== null);
  if (type.length === 0) return bounds.length === 0 ? null : bounds.join(", ");
  return [type.join(" or "), ...bounds].join(", ");
}

function rangeOf(least: number | undefined, most: number | undefined, noun: string | null): string | null {
  const counted = (count: number) => {
    const unit = noun === null ? "" : ` ${noun}${count === 1 ? "" : "s"}`;
    return `${NUMBER.format(count)}${unit}`;
  };
  if (least === undefined && most === undefined) return null;
  if (least === undefined) return `at most ${counted(most ?? 0)}`;
  return most === undefined ? `at least ${counted(least)}` : `${NUMBER.format(least)} to ${counted(most)}`;
}

function formatOf(format: string): string {
  return format === "date-time" ? "a time such as 2026-11-21T06:30:00Z" : format;
}
