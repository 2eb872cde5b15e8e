/** What queues that are shared with programs in Python change: what the runtime is told of them, and who may do what. */
import { beforeAll, describe, expect, it } from "vitest";
import { type Config, loadConfig, type ServiceConfig } from "../../runtime/config.ts";
import { DEFAULT_QUEUE_OPTIONS } from "../../runtime/model/queue.ts";
import { deployProgram, NEIGHBOURS, type Program } from "./program.ts";
import { type PolicyStatement, policyOf } from "./support.ts";

const BUCKET = "arn:aws:s3:::payloads-abc1234";

let plain: Program;
let shared: Program;
beforeAll(async () => {
  plain = await deployProgram();
  shared = await deployProgram(NEIGHBOURS, { stack: "neighbours" });
});

function told(service: "api" | "worker"): ServiceConfig {
  const { containerDefinitions } = shared.find("aws:ecs/taskDefinition:TaskDefinition", service).inputs;
  // As `containerDefinitions` in infra/container.ts writes them.
  const [first] = JSON.parse(String(containerDefinitions)) as { environment: { name: string; value: string }[] }[];
  const config: Config = loadConfig(Object.fromEntries(first!.environment.map(({ name, value }) => [name, value])));
  if (config.role === "migrate") throw new Error("expected a service");
  return config;
}

const statements = (of: Program, role: string): PolicyStatement[] =>
  policyOf(of.find("aws:iam/rolePolicy:RolePolicy", role).inputs.policy).Statement;
/** What may be done in the bucket, without what every stack has. */
const besides = (role: string) => {
  const usual = statements(plain, role).map(({ Sid }) => Sid);
  return statements(shared, role)
    .filter(({ Sid, Resource }) => !usual.includes(Sid) && JSON.stringify(Resource).includes(":s3:"))
    .map(({ Effect, Action, Resource, Condition }) => [Effect, Action, Resource, Condition]);
};
const OURS = { StringEquals: { "aws:ResourceAccount": "111122223333" } };

describe("a queue that is shared with Python", () => {
  it.each(["api", "worker"] as const)("is told to the %s with all that the stack says of it", (service) => {
    const options = Object.fromEntries(told(service).queues.map((queue) => [queue.name, queue.options]));
    expect(options).toEqual({
      default: DEFAULT_QUEUE_OPTIONS,
      shop: {
        ...DEFAULT_QUEUE_OPTIONS,
        accepts: { tasks: ["sleep"], tenant: "shop", extendedPrefix: "" },
        results: { basePath: "results" },
      },
      crm: {
        ...DEFAULT_QUEUE_OPTIONS,
        accepts: { tasks: null, tenant: "default", extendedPrefix: "crm/" },
        results: { basePath: "results/crm/" },
      },
      models: { ...DEFAULT_QUEUE_OPTIONS, wire: "taskiq", results: { basePath: "results/models" } },
    });
  });

  it("is polled by our workers unless workers of Python serve it", () => {
    expect(told("worker").worker.queues).toEqual(["default", "shop", "crm"]);
    const consumed = statements(shared, "worker").filter(({ Sid }) => Sid.startsWith("Consume"));
    expect(consumed.map(({ Sid }) => Sid)).toEqual(["ConsumeDefault", "ConsumeShop", "ConsumeCrm"]);
  });

  it("lets workers read messages that its producers put into the bucket, and nobody else", () => {
    const keys = [`${BUCKET}/*.json`, `${BUCKET}/crm/*.json`];
    expect(besides("worker")).toEqual([["Allow", ["s3:GetObject"], keys, OURS]]);
  });

  it("lets the API take in results of workers of Python", () => {
    const keys = [`${BUCKET}/results/*`];
    expect(besides("api")).toEqual([
      ["Allow", ["s3:GetObject"], keys, OURS],
      ["Allow", ["s3:DeleteObject"], keys, OURS],
    ]);
    expect(statements(shared, "api").find(({ Sid }) => Sid === "WriteResultsToPayloads")?.Resource).toEqual(keys);
  });

  it("lets the API read and delete no result where no queue has the wire taskiq", async () => {
    const queues = [{ name: "default", accepts: {}, results: { basePath: "results" } }];
    const sids = statements(await deployProgram({ queues }), "api").map(({ Sid }) => Sid);
    expect(sids.filter((sid) => sid.includes("Results"))).toEqual(["WriteResultsToPayloads"]);
  });

  it("opens the bucket for such messages, and for nothing else", () => {
    const [policy] = shared.all("aws:s3/bucketPolicy:BucketPolicy");
    const denied = policyOf(policy!.inputs.policy).Statement.find(({ Sid }) => Sid === "DenyWritesElsewhere");
    expect(denied).toMatchObject({
      Effect: "Deny",
      NotResource: [`${BUCKET}/v1/*`, `${BUCKET}/results/*`, `${BUCKET}/*.json`, `${BUCKET}/crm/*.json`],
    });
  });
});
