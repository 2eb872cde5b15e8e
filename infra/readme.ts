/**
 * `node infra/readme.ts` writes the generated parts of infra/README.md anew: the keys of the configuration, the costs and
 * the table of the scaling simulator. Tests fail when keys or costs are out of date; the simulator takes too long for that.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { costReport } from "../bench/cost.ts";

const ROOT = resolve(import.meta.dirname, "..");
export const README = join(ROOT, "infra/README.md");

export type PartName = "keys" | "cost" | "scaling";

/** The text between the markers of a part. Throws where the file has none. */
export function partOf(text: string, name: PartName): string {
  const found = pattern(name).exec(text);
  if (found === null) throw new Error(`infra/README.md: expected the markers of the part "${name}", got none.`);
  return found[2]!.trim();
}

/** One table for each section of Pulumi.yaml. */
export function keysTable(): string {
  const text = readFileSync(join(ROOT, "Pulumi.yaml"), "utf8");
  // The file has this shape; the tests of the configuration hold it against the table of keys.
  const { config } = parse(text) as { config: Record<string, { description: string; default: unknown }> };
  return sections(text)
    .map(({ title, keys }) => {
      const rows = keys.map((key) => {
        const entry = config[key];
        if (entry === undefined) throw new Error(`Pulumi.yaml: expected the key "${key}" under config.`);
        return `| \`${key}\` | ${shown(entry.default)} | ${entry.description.trim().replaceAll("|", "\\|")} |`;
      });
      return [`**${title}**`, "", "| key | default | meaning |", "| --- | --- | --- |", ...rows].join("\n");
    })
    .join("\n\n");
}

/** Titles are comments, which a parser of YAML drops. */
function sections(text: string): { readonly title: string; readonly keys: string[] }[] {
  const found: { title: string; keys: string[] }[] = [];
  for (const line of text.slice(text.indexOf("\nconfig:")).split("\n")) {
    const title = /^ {2}# --- (.+)$/.exec(line)?.[1];
    const key = /^ {2}(\w+):$/.exec(line)?.[1];
    if (title !== undefined) found.push({ title, keys: [] });
    if (key !== undefined) found.at(-1)?.keys.push(key);
  }
  return found;
}

function shown(value: unknown): string {
  if (value === "") return "empty";
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

function pattern(name: PartName): RegExp {
  return new RegExp(`(<!-- ${name}: .*?-->\\n)([\\s\\S]*?)(\\n<!-- end of ${name} -->)`);
}

function write(): void {
  const scaling = execFileSync(process.execPath, [join(ROOT, "bench/scaling.ts")], { encoding: "utf8" });
  const parts: Record<PartName, string> = { keys: keysTable(), cost: costReport(), scaling: scaling.trim() };
  let text = readFileSync(README, "utf8");
  for (const [name, part] of Object.entries(parts) as [PartName, string][]) {
    partOf(text, name);
    text = text.replace(pattern(name), (_, start: string, _old, end: string) => `${start}\n${part}\n${end}`);
  }
  writeFileSync(README, text);
}

if (import.meta.main) write();
