/** `taskiq-aws doctor`. */
import { apiKeyOfProcess, configFromProcess } from "../../config.ts";
import type { Source } from "../../config-problems.ts";
import { EXIT, type ExitCode } from "../exit-code.ts";
import type { Screen } from "../screen.ts";
import type { ApiAddress } from "./api.ts";
import { diagnose } from "./doctor.ts";
import { hasFailed, reportJson, writeReport } from "./report.ts";

export async function runDoctor(
  { api, settings, json }: { readonly api: ApiAddress; readonly settings: Source; readonly json: boolean },
  screen: Screen,
): Promise<ExitCode> {
  const diagnosis = await diagnose({
    api: { ...api, apiKey: apiKeyOfProcess() },
    readConfig: (overrides) => configFromProcess({ ...settings, ...overrides }),
    nodeVersion: process.versions.node,
  });
  if (json) screen.out.line(reportJson(diagnosis));
  else writeReport(diagnosis, screen.out);
  return hasFailed(diagnosis.findings) ? EXIT.failed : EXIT.ok;
}
