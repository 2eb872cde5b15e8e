/** The diagnosis for people and for programs. */
import type { Paper, Style } from "../screen.ts";
import { oneLine, wrapped } from "../text.ts";
import type { Diagnosis } from "./doctor.ts";
import type { Finding, Level } from "./finding.ts";

const STYLES: Readonly<Record<Level, Style>> = { ok: "green", warn: "yellow", fail: "red" };
const LEVEL_COLUMNS = 4;

const HOW_TO_START = "Nothing could be reached. To see it all run on this machine, without any setup: npm run demo";

export function writeReport({ findings, isNothingThere }: Diagnosis, paper: Paper): void {
  const checkColumns = Math.max(...findings.map(({ check }) => check.length));
  for (const finding of findings) writeFinding(finding, checkColumns, paper);
  paper.line("");
  paper.line(summary(findings));
  if (isNothingThere) paper.line(HOW_TO_START);
}

export function reportJson({ findings }: Diagnosis): string {
  return JSON.stringify({ ok: !hasFailed(findings), findings });
}

export function hasFailed(findings: readonly Finding[]): boolean {
  return findings.some(({ level }) => level === "fail");
}

/** One line, which a terminal gets folded to its width. */
function writeFinding({ check, level, message, advice }: Finding, checkColumns: number, paper: Paper): void {
  const indent = LEVEL_COLUMNS + checkColumns + 4;
  const text = oneLine(advice === null ? message : `${message} ${advice}`);
  const lines = paper.isTerminal ? wrapped(text, Math.max(30, paper.columns - indent - 1)) : [text];
  const head = `${paper.style(STYLES[level], level.padEnd(LEVEL_COLUMNS))}  ${check.padEnd(checkColumns)}  `;
  for (const [index, line] of lines.entries()) paper.line(`${index === 0 ? head : " ".repeat(indent)}${line}`);
}

function summary(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length;
  const problems = count("fail");
  const warnings = count("warn");
  if (problems === 0 && warnings === 0) return "Everything is as it should be.";
  const parts = [
    problems === 0 ? "No problem" : `${problems} ${problems === 1 ? "problem" : "problems"}`,
    ...(warnings === 0 ? [] : [`${warnings} ${warnings === 1 ? "warning" : "warnings"}`]),
  ];
  return `${parts.join(", ")}.`;
}
