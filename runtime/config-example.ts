/**
 * Prints `.env.example`, made from the table of variables. A check compares the file with what this prints, so the
 * example cannot fall behind.
 */
import { SECTIONS } from "./config-table.ts";
import type { Variable } from "./config-variable.ts";

/** The command that brings `.env.example` up to date. */
export const ENV_EXAMPLE_COMMAND = "npx node runtime/config-example.ts > .env.example";

const WIDTH = 110;

/** The text of `.env.example`. Variables that may be left out are commented out. */
export function envExample(): string {
  const sections = SECTIONS.map(({ title, variables }) => {
    const entries = Object.entries(variables).map(([name, variable]) => describe(name, variable));
    return `# ---- ${title} ----\n\n${entries.join("\n\n")}\n`;
  });
  const title = `Made from runtime/config-table.ts by \`${ENV_EXAMPLE_COMMAND}\`. An empty variable counts as unset.`;
  return [`${comment(title)}\n`, ...sections].join("\n");
}

function describe(name: string, { meaning, expected, example, presence, aliases, unit }: Variable<unknown>): string {
  const facts = [`Expected: ${expected}${unit === undefined ? "" : ` (${unit})`}.`];
  if (presence === "required") facts.push("Required.");
  else facts.push(presence === "optional" ? "May be left out." : `Default: ${presence.default}.`);
  if (aliases.length > 0) facts.push(`Also read from ${aliases.join(", ")}.`);
  // Single quotes keep JSON whole for shells as well as for Node's own reader of such files.
  const value = example.includes('"') ? `'${example}'` : example;
  const assignment = `${presence === "required" ? "" : "# "}${name}=${value}`;
  return [comment(meaning), comment(facts.join(" ")), assignment].join("\n");
}

/** Comment lines, broken between words. */
function comment(text: string): string {
  const lines: string[] = [];
  let line = "#";
  for (const word of text.split(" ")) {
    if (line.length + word.length >= WIDTH) {
      lines.push(line);
      line = "#";
    }
    line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}

if (import.meta.main) process.stdout.write(envExample());
