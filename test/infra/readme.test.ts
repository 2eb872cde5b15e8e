import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { costReport } from "../../bench/cost.ts";
import { alarmRules } from "../../infra/alarms.ts";
import { keysTable, partOf, README } from "../../infra/readme.ts";
import { deployProgram, schema } from "./program.ts";
import { WATCHED } from "./watched-stack.ts";

const text = readFileSync(README, "utf8");
const OUT_OF_DATE = "infra/README.md is out of date. Run: node infra/readme.ts";

/** As GitHub makes them of headings. */
const anchors = [...text.matchAll(/^#{2,4} (.+)$/gm)].map(([, title]) =>
  title!
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-"),
);

describe("infra/README.md", () => {
  it("has the table of keys that Pulumi.yaml gives", () => {
    expect(partOf(text, "keys"), OUT_OF_DATE).toBe(keysTable());
  });

  it("has a row for every key", () => {
    const shown = [...keysTable().matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key);
    expect(shown).toEqual(Object.keys(schema));
  });

  it("has the costs that the calculator gives", () => {
    expect(partOf(text, "cost"), OUT_OF_DATE).toBe(costReport());
  });

  it("has the table of the scaling simulator", () => {
    // Running it takes longer than all other tests together; the loads and policies are enough to see that it is there.
    const rows = partOf(text, "scaling").split("\n").slice(2);
    for (const policy of ["`cloudwatch`", "`builtin`", "+1/−1", "target tracking"]) {
      expect(rows.filter((row) => row.split(" | ")[1] === policy)).toHaveLength(6);
    }
  });

  it("has a runbook for every alarm, and no runbook without one", () => {
    // With no worker at rest the silence of workers is another alarm.
    const rules = [...alarmRules(WATCHED), ...alarmRules({ ...WATCHED, workerMin: 0 })];
    const runbooks = anchors.filter((anchor) => anchor.startsWith("alarm-"));
    expect(runbooks.toSorted()).toEqual([...new Set(rules.map(({ runbook }) => `alarm-${runbook}`))].toSorted());
  });

  it("says in every runbook what it means, where to look first and what to do", () => {
    const runbooks = text.split(/^### Alarm: /m).slice(1);
    for (const runbook of runbooks) {
      const [name] = runbook.split("\n");
      expect(runbook.toLowerCase(), name).toMatch(/\*\*means\*\*[\s\S]+\*\*first look\*\*[\s\S]+\*\*do\*\*/);
    }
  });

  it("links to headings and files that exist", () => {
    for (const [, target] of text.matchAll(/\]\(([^)]+)\)/g)) {
      if (target!.startsWith("#")) expect(anchors, target).toContain(target!.slice(1));
      else expect(existsSync(resolve(README, "..", target!)), target).toBe(true);
    }
  });

  it("names every output of the program, and no other", async () => {
    const { outputs } = await deployProgram();
    const section = /^## Outputs$([\s\S]*?)^## /m.exec(text)?.[1] ?? "";
    const named = [...section.matchAll(/^\| (`.+?) \|/gm)].flatMap(([, cell]) =>
      [...cell!.matchAll(/`(\w+)`/g)].map(([, name]) => name!),
    );
    expect(named.toSorted()).toEqual(Object.keys(outputs).toSorted());
  });
});
