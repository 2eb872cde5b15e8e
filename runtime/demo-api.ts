#!/usr/bin/env node
/** `taskiq-demo-api`: the HTTP API with the executor loops, as `SERVICE_ROLE=api` runs it. */
import { run } from "./main.ts";

await run({ SERVICE_ROLE: "api" });
