/**
 * Follows the logs of a deployment by the AWS command line. Arguments: the stack (default localstack, on the emulator), then
 * whatever `aws logs tail` takes, such as `--since 1h`.
 */
import { isInstalled, run } from "../command.ts";
import { openDemoStack } from "../demo-stack.ts";
import { EMULATOR_URL } from "../emulator.ts";
import { Problem, runTask } from "../problem.ts";
import { openStack } from "../pulumi-cli.ts";

const EMULATOR_ENV = { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" };

await runTask(async () => {
  const [stackName = "localstack", ...args] = process.argv.slice(2);
  if (!(await isInstalled("aws"))) {
    throw new Problem(
      "Missing: the AWS command line. See https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html.",
    );
  }
  const local = stackName === "localstack";
  const stack = local ? await openDemoStack() : await openStack({ stack: stackName });
  if (!(await stack.exists())) throw new Problem(`The stack ${stackName} does not exist: deploy it first.`);
  const { logGroups } = await stack.outputs();
  if (!Array.isArray(logGroups))
    throw new Problem(`The stack ${stackName} has no output logGroups: run "mise run up" first.`);
  const endpoint = local ? ["--endpoint-url", EMULATOR_URL] : [];
  await Promise.all(
    logGroups.map((group) =>
      run("aws", [...endpoint, "logs", "tail", String(group), "--follow", ...args], { env: local ? EMULATOR_ENV : {} }),
    ),
  );
});
