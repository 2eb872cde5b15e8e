/** The image: built and pushed so that nothing can change under a running service, or used as it is. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { SOURCES } from "../../infra/image.ts";
import { deployProgram } from "./program.ts";
import { policyOf } from "./support.ts";

const execution = async (config: Record<string, unknown>) => {
  const program = await deployProgram(config);
  return policyOf(program.find("aws:iam/rolePolicy:RolePolicy", "execution").inputs.policy).Statement;
};

describe("an image that is built", () => {
  it("goes to a repository that scans it, where no tag moves and old ones go", async () => {
    const program = await deployProgram();
    expect(program.find("aws:ecr/repository:Repository").inputs).toEqual({
      name: "taskiq-test",
      imageTagMutability: "IMMUTABLE",
      imageScanningConfiguration: { scanOnPush: true },
      encryptionConfigurations: [{ encryptionType: "AES256" }],
      forceDelete: false,
    });
    const policy = program.find("aws:ecr/lifecyclePolicy:LifecyclePolicy").inputs.policy;
    expect((JSON.parse(String(policy)) as { rules: unknown[] }).rules).toMatchObject([
      { rulePriority: 1, selection: { tagStatus: "untagged", countType: "sinceImagePushed", countUnit: "days" } },
      { rulePriority: 2, selection: { tagStatus: "any", countType: "imageCountMoreThan" } },
    ]);
  });

  it("is built for the processors of the stack on its base image, and pushed", async () => {
    const program = await deployProgram({ imageBase: "node:24@sha256:abc" });
    const { inputs, secretInputs } = program.find("docker-build:index:Image");
    expect(inputs).toMatchObject({
      platforms: ["linux/arm64"],
      buildArgs: { BASE: "node:24@sha256:abc" },
      push: true,
      context: { location: resolve(import.meta.dirname, "../..") },
      dockerfile: { location: resolve(import.meta.dirname, "../../runtime/Dockerfile") },
    });
    expect(secretInputs).toEqual(["registries"]);
  });

  it("has another tag when what goes into it is another, and the same one when it is not", async () => {
    const tag = async (config: Record<string, unknown>) =>
      (await deployProgram(config)).find("docker-build:index:Image").inputs.tags;
    const [first] = (await tag({})) as string[];
    expect(first).toMatch(/^111122223333\.dkr\.ecr\.us-east-1\.amazonaws\.com\/taskiq-test:[0-9a-f]{16}$/);
    expect(await tag({})).toEqual([first]);
    expect(await tag({ imageBase: "node:24-alpine" })).not.toEqual([first]);
    expect(await tag({ imagePlatforms: ["linux/amd64", "linux/arm64"] })).not.toEqual([first]);
  });

  it("is tagged over everything that the Dockerfile copies", () => {
    const dockerfile = readFileSync(resolve(import.meta.dirname, "../../runtime/Dockerfile"), "utf8");
    const copied = dockerfile
      .split("\n")
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(copied.length).toBeGreaterThan(0);
    for (const path of copied) {
      expect(
        SOURCES.some((source) => path === source || path.startsWith(`${source}/`)),
        path,
      ).toBe(true);
    }
  });
});

describe("an image that exists", () => {
  it("is used as it is, without a repository or a build", async () => {
    const program = await deployProgram({ image: "ghcr.io/example/taskiq:1.2.3" });
    expect(program.outputs.imageRef).toBe("ghcr.io/example/taskiq:1.2.3");
    expect(program.all("aws:ecr/repository:Repository")).toEqual([]);
    expect(program.all("docker-build:index:Image")).toEqual([]);
  });

  it("of a registry that asks nobody needs no permission", async () => {
    const sids = (await execution({ image: "ghcr.io/example/taskiq:1.2.3" })).map(({ Sid }) => Sid);
    expect(sids).toEqual(["WriteLogOfApi", "WriteLogOfWorker"]);
  });

  it("of ECR may be pulled from its own repository, whatever its account and region", async () => {
    const ref = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/team/taskiq@sha256:0123";
    const pull = (await execution({ image: ref })).find(({ Sid }) => Sid === "PullImage");
    expect(pull!.Resource).toEqual(["arn:aws:ecr:eu-west-1:444455556666:repository/team/taskiq"]);
  });
});
