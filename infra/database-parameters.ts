/**
 * How Postgres is set for the task table: small rows that change a few times within seconds and are then deleted, in
 * short statements. All of them are dynamic on RDS, so a change reaches the running instance without a restart.
 * Vacuum thresholds of the tables themselves are part of the schema.
 */

export type DatabaseParameter = { readonly name: string; readonly value: string; readonly applyMethod: "immediate" };

/** Values in the units of RDS, which are those of Postgres's own configuration without a suffix. */
export function databaseParameters(database: {
  /** Major version of Postgres. */
  readonly major: number;
  readonly tls: "verify-full" | "disable";
}): DatabaseParameter[] {
  const values: Record<string, string> = {
    // A hot table is dirty again long before the default pace of vacuum is through with it.
    autovacuum_naptime: "10",
    autovacuum_vacuum_cost_limit: "2000",
    autovacuum_vacuum_scale_factor: "0.05",
    autovacuum_analyze_scale_factor: "0.05",
    // Backstops behind the clients' own limits: a forgotten transaction stops vacuum and holds its locks.
    idle_in_transaction_session_timeout: "60000",
    // A dead host's connection, with its locks, is found out within 90 s instead of 6 min.
    tcp_keepalives_idle: "30",
    tcp_keepalives_interval: "10",
    tcp_keepalives_count: "6",
    // Compiling a plan takes longer than any of these statements.
    jit: "0",
    random_page_cost: "1.1",
    track_io_timing: "1",
    log_lock_waits: "1",
    log_min_duration_statement: "1000",
    log_autovacuum_min_duration: "1000",
    log_temp_files: "10240",
    // A list of what to log since 18, a switch before.
    log_connections: database.major >= 18 ? "all" : "1",
    log_disconnections: "1",
    "rds.force_ssl": database.tls === "disable" ? "0" : "1",
  };
  return Object.entries(values)
    .map(([name, value]) => ({ name, value, applyMethod: "immediate" as const }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
