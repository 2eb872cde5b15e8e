/** One of everything that can be reported, as the program reports it that the golden sessions were recorded with. */
import type { Pipes } from "../../runtime/pipes/index.ts";

export function reportEverything(pipes: Pipes, checks: readonly string[]): void {
  for (const level of ["debug", "info", "warning", "error", "critical"] as const) pipes.log[level](`a ${level} line`);
  pipes.log.info("unicode é🚀 and\nnewline");
  pipes.reportCustomMessage({ a: [1, 2.5, null, true], text: "é🚀" });
  pipes.reportCustomMessage("just text");
  if (pipes.context?.assetKeys == null) return;
  pipes.reportMaterialization({
    dataVersion: "v1",
    metadata: {
      inferred_int: 1,
      inferred_float: 1.5,
      inferred_text: "t",
      inferred_bool: true,
      inferred_null: null,
      inferred_list: [1, 2],
      text: { type: "text", value: "x" },
      url: { type: "url", value: "https://example.com" },
      path: { type: "path", value: "/a/b" },
      notebook: { type: "notebook", value: "/a.ipynb" },
      json: { type: "json", value: { k: [1] } },
      md: { type: "md", value: "**b**" },
      float: { type: "float", value: 0.1 },
      int: { type: "int", value: 7 },
      bool: { type: "bool", value: false },
      dagster_run: { type: "dagster_run", value: "db892d7f-0031-4747-973d-22e8b9095d9d" },
      asset: { type: "asset", value: "other/key" },
      null: { type: "null", value: null },
      timestamp: { type: "timestamp", value: 1_700_000_000.5 },
      table: { type: "table", value: { records: [{ a: 1 }], schema: [{ name: "a", type: "int" }] } },
      table_schema: {
        type: "table_schema",
        value: { columns: [{ name: "a", type: "int", description: "d", constraints: { nullable: false } }] },
      },
      table_column_lineage: {
        type: "table_column_lineage",
        value: { deps_by_column: { a: [{ asset_key: "up/stream", column_name: "b" }] } },
      },
    },
  });
  for (const name of checks) {
    pipes.reportCheck({ name, passed: name.endsWith("ok"), severity: "WARN", metadata: { n: 1 } });
  }
}
