/**
 * The whole system by a real `pulumi up`, on an emulator that enforces IAM and runs containers. `npm run test:deploy`; not part
 * of `npm test`, because it needs Docker or Podman, the Pulumi command line and about ten minutes. deploy/README.md says more.
 *
 *   TASKIQ_EMULATOR_COMMAND  starts the emulator and returns; it gets AUTH=true. Without: deploy/emulators.ts
 *   TASKIQ_IMAGE             an image to test instead of building one
 *   TASKIQ_KEEP              set: nothing is removed at the end, for looking at
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findContainerEngine } from "../../deploy/container-engine.ts";
import { openDemoStack } from "../../deploy/demo-stack.ts";
import { EMULATOR_URL, findEmulator, startEmulator, stopEmulator } from "../../deploy/emulator.ts";
import { REPOSITORY } from "../../deploy/image.ts";
import { requirePulumi } from "../../deploy/pulumi-cli.ts";
import { createSettings } from "../../deploy/stack-settings.ts";
import { buildImages, FIRST, removeImages } from "./built-images.ts";
import { type Deployment, describeDeployment } from "./deployment.ts";
import { grantInEmulatorsWords } from "./emulator-grants.ts";
import { imageClaims } from "./image-claims.ts";
import { inventory } from "./inventory.ts";
import { productionClaims } from "./production-claims.ts";
import { runningClaims } from "./running-claims.ts";
import { scalingClaims } from "./scaling-claims.ts";
import { Abandoned, createSteps, expectEqual } from "./steps.ts";
import { updateClaims } from "./update-claims.ts";

const steps = createSteps();
const folder = await mkdtemp(join(tmpdir(), "taskiq-deploy-"));
const emulatorDir = join(folder, "emulator");
const keep = (process.env.TASKIQ_KEEP ?? "") !== "";
let startedEmulator = false;

try {
  await testAll();
} catch (error) {
  if (!(error instanceof Abandoned)) throw error;
  console.log("     the rest needs that, and was not tried");
} finally {
  if (!keep) {
    if (startedEmulator) await stopEmulator(emulatorDir);
    await rm(folder, { recursive: true, force: true });
  }
}

for (const text of [
  "the emulator has no Application Auto Scaling: the scaler of the executor is tested, that of CloudWatch is validated only",
  "the emulator has no target health checks, container health checks or dependsOn: a process waits for the schema itself",
  "the emulator has no task protection endpoint, managed database password, verified database TLS or Spot interruption",
  "the emulator asks for rights of batch actions, and for ecs:UpdateService on the cluster: the roles get these besides (emulator-grants.ts)",
]) {
  steps.note(text);
}
process.exitCode = steps.summary() ? 0 : 1;

async function testAll(): Promise<void> {
  let engine!: Awaited<ReturnType<typeof findContainerEngine>>;
  await steps.must("Pulumi, a container engine and an emulator are there", async () => {
    await requirePulumi();
    engine = await findContainerEngine();
    if ((await findEmulator()) === null) {
      startedEmulator = true;
      await startEmulator({ stateDir: emulatorDir, enforceIam: true, runsContainers: true });
    }
    return `${engine.program}, ${await findEmulator()} on ${EMULATOR_URL}`;
  });

  await steps.must("the image builds", async () => {
    await buildImages(engine, folder, process.env.TASKIQ_IMAGE);
    return undefined;
  });
  await imageClaims(engine, steps);
  await productionClaims(folder, steps);

  const before = await inventory();
  const settings = await createSettings(join(folder, "Pulumi.localstack.yaml"), {
    image: FIRST,
    namePrefix: "taskiq-deploytest",
  });
  const stack = await openDemoStack({ stateDir: join(folder, "state"), configFile: settings.file, quiet: true });
  let revoke = async (): Promise<void> => {};
  try {
    await steps.must("creating the stack leaves the repository's settings as they are", async () => {
      const settingsInRepository = () => readFile(join(REPOSITORY, "Pulumi.localstack.yaml"), "utf8");
      const asItWas = await settingsInRepository();
      await stack.create();
      expectEqual(await settingsInRepository(), asItWas, "Pulumi.localstack.yaml");
      return undefined;
    });
    await steps.must("up makes the whole stack", async () => {
      await stack.up();
      return undefined;
    });
    const deployment: Deployment = await describeDeployment({ engine, steps, stack, settings });
    revoke = await grantInEmulatorsWords(deployment);
    await runningClaims(deployment);
    await scalingClaims(deployment);
    await updateClaims(deployment);
  } finally {
    if (!keep) {
      await steps.step("destroy leaves nothing", async () => {
        await revoke();
        await stack.destroy();
        const left = (await inventory()).filter((one) => !before.includes(one));
        expectEqual(left, [], "resources that are left");
        await stack.remove();
        return undefined;
      });
      await removeImages(engine).catch(() => {});
    }
  }
}
