/**
 * Entry point of the emulator's own process. Takes the options of `startAws` as JSON in its first argument, writes one line
 * `{"endpoint": …}` when ready and stops on SIGTERM, on SIGINT, or when its standard input ends: whoever
 * started it is gone then, even if killed.
 */
import { describeError } from "../describe-error.ts";
import { type AwsOptions, startAws } from "./aws.ts";

try {
  // Written by start-aws-process.ts from a value of this type.
  const aws = await startAws(JSON.parse(process.argv[2] ?? "{}") as AwsOptions);
  const stop = (): void => {
    void aws.stop().finally(() => process.exit(0));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.stdin.on("error", stop);
  process.stdin.on("close", stop);
  process.stdin.resume();
  process.stdout.write(`${JSON.stringify({ endpoint: aws.endpoint })}\n`);
} catch (error) {
  process.stderr.write(`${describeError(error).message}\n`);
  process.exit(1);
}
