/** An update changes what was edited and nothing else; a new image rolls out, a broken one rolls back. */
import { followTasks, submitSleep, waitForApi } from "../../deploy/sleep-tasks.ts";
import { waitFor } from "../../deploy/wait.ts";
import { BROKEN, SECOND } from "./built-images.ts";
import { type Deployment, sayChanges } from "./deployment.ts";
import { expectEqual } from "./steps.ts";

const SETTLED_MS = 180_000;

export async function updateClaims(deployment: Deployment): Promise<void> {
  const { steps, stack, settings, url, cluster, services } = deployment;

  async function settled(name: string): Promise<void> {
    await waitFor(`the service ${name} to settle`, SETTLED_MS, async () => {
      const { deployments = [], runningCount, desiredCount, pendingCount } = await cluster.service(name);
      const [only] = deployments;
      const done = deployments.length === 1 && only?.rolloutState === "COMPLETED" && pendingCount === 0;
      return done && runningCount === desiredCount ? true : undefined;
    });
  }

  function definitions(): Promise<readonly (string | undefined)[]> {
    return Promise.all(
      [services.api, services.worker].map(async (name) => (await cluster.service(name)).taskDefinition),
    );
  }

  async function works(): Promise<void> {
    await waitForApi(url, SETTLED_MS);
    const [task] = await followTasks(url, [await submitSleep(url, 1)], 60_000);
    expectEqual(task?.state, "succeeded", "a task after the update");
  }

  await steps.step("an edited setting changes the tasks that have it, and nothing else", async () => {
    await settings.change({ workerSlots: 6 });
    const changes = sayChanges(await stack.changes());
    expectEqual(
      [...changes].sort(),
      [
        "replace aws:ecs/taskDefinition:TaskDefinition worker (containerDefinitions)",
        "update aws:ecs/service:Service worker (taskDefinition)",
      ],
      "changes",
    );
    const api = (await cluster.service(services.api)).taskDefinition;
    await stack.up();
    await settled(services.worker);
    expectEqual((await cluster.service(services.api)).taskDefinition, api, "the API's task definition");
    expectEqual(sayChanges(await stack.changes()), [], "changes afterwards");
    return changes.join("; ");
  });

  await steps.step("a new image rolls out to both services", async () => {
    await settings.change({ image: SECOND });
    await stack.up();
    for (const name of [services.api, services.worker]) {
      await settled(name);
      for (const task of await cluster.tasks(name)) {
        const { images } = await cluster.taskDefinition(task.taskDefinitionArn ?? "");
        expectEqual([...new Set(images)], [SECOND], `images of ${name}`);
      }
    }
    await works();
    return undefined;
  });

  await steps.step("a broken image rolls back by itself, and the system goes on working", async () => {
    const before = await definitions();
    await settings.change({ image: BROKEN });
    // Whether this ends well depends on what Pulumi waits for; what runs afterwards does not.
    const said = await stack.up().then(
      () => "up ended well",
      () => "up failed",
    );
    for (const family of [services.api, services.worker]) {
      const { images } = await cluster.taskDefinition(family);
      expectEqual([...new Set(images)], [BROKEN], `images of the newest task definition of ${family}`);
      await settled(family);
    }
    const after = await definitions();
    expectEqual(after, before, "task definitions");
    await works();
    return said;
  });

  await steps.step("an update with the good image mends the state", async () => {
    await settings.change({ image: SECOND });
    await stack.up();
    await settled(services.api);
    await settled(services.worker);
    await works();
    return undefined;
  });
}
