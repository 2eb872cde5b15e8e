#!/usr/bin/env node
/** `taskiq-demo-worker`: a worker, as `SERVICE_ROLE=worker` runs it. */
import { run } from "./main.ts";

await run({ SERVICE_ROLE: "worker" });
