/** Dagster Pipes for TypeScript: `withPipes({ env: process.env }, …)` in a program, `withPipes({ labels: ctx.labels, allow: … }, …)` in a task. */

export type { PipesContext } from "./context.ts";
export type { LogLevel, Metadata, MetadataType, MetadataValue, Severity } from "./message.ts";
export { openPipes, type Pipes, type PipesOptions, type PipesPlaces, withPipes } from "./session.ts";
