/** Dagster Pipes for programs of TypeScript: `withPipes({ env: process.env }, …)`. A task has its session as `ctx.pipes`, see `pipes` of `defineTask`. */

export type { PipesContext } from "./context.ts";
export type { LogLevel, Metadata, MetadataType, MetadataValue, Severity } from "./message.ts";
export { openPipes, type Pipes, type PipesOptions, type PipesPlaces, type PipesReports, withPipes } from "./session.ts";
