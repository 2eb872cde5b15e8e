/**
 * The image of every role: built from this repository and pushed, or one that exists. Services refer to what was pushed
 * by its digest, so a deployment runs exactly what was built, and a rollback what ran before.
 */
import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import * as aws from "@pulumi/aws";
import * as dockerBuild from "@pulumi/docker-build";
import * as pulumi from "@pulumi/pulumi";
import type { Account, Statement } from "./statement.ts";

export type ImageLike = {
  readonly ref: pulumi.Output<string>;
  /** For the role that starts containers. */
  pullStatements(): Statement[];
};

export type ImageArgs = {
  readonly repositoryName: string;
  readonly base: string;
  readonly platforms: readonly string[];
  /** False lets a stack be removed with the images in its repository. */
  readonly protect: boolean;
};

/** `given` is an image that exists, used as it is; null builds one. */
export function createImage(
  name: string,
  args: ImageArgs & { readonly given: string | null; readonly account: Account },
  opts: pulumi.ComponentResourceOptions,
): ImageLike {
  return args.given === null ? new Image(name, args, opts) : givenImage(args.given, args.account);
}

const ROOT = resolve(import.meta.dirname, "..");
/** What the Dockerfile copies. */
export const SOURCES = ["package.json", "package-lock.json", "tsconfig.json", "runtime", "deploy/image"];
/** Made on the way: the image makes its own. */
const BUILT = "runtime/web/dist";
const KEPT_IMAGES = 50;

export class Image extends pulumi.ComponentResource implements ImageLike {
  readonly ref: pulumi.Output<string>;
  readonly #repositoryArn: pulumi.Output<string>;

  constructor(name: string, args: ImageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Image", name, {}, opts);
    const child = { parent: this };
    const repository = new aws.ecr.Repository(
      name,
      {
        name: args.repositoryName,
        imageTagMutability: "IMMUTABLE",
        imageScanningConfiguration: { scanOnPush: true },
        encryptionConfigurations: [{ encryptionType: "AES256" }],
        forceDelete: !args.protect,
      },
      child,
    );
    new aws.ecr.LifecyclePolicy(name, { repository: repository.name, policy: lifecycle() }, child);
    const token = aws.ecr.getAuthorizationTokenOutput({ registryId: repository.registryId }, child);
    const image = new dockerBuild.Image(
      name,
      {
        context: { location: ROOT },
        dockerfile: { location: join(ROOT, "runtime/Dockerfile") },
        buildArgs: { BASE: args.base },
        platforms: args.platforms.map((platform) => platform as dockerBuild.Platform), // checked by the configuration
        // A tag cannot be moved, so it says what is in the image.
        tags: [pulumi.interpolate`${repository.repositoryUrl}:${contentTag([args.base, ...args.platforms])}`],
        push: true,
        // Without a build, a preview cannot show that services change.
        buildOnPreview: false,
        registries: [
          { address: repository.repositoryUrl, username: token.userName, password: pulumi.secret(token.password) },
        ],
      },
      child,
    );
    // Without the tag: ECS takes one or the other.
    this.ref = pulumi.interpolate`${repository.repositoryUrl}@${image.digest}`;
    this.#repositoryArn = repository.arn;
    this.registerOutputs({ ref: this.ref });
  }

  pullStatements(): Statement[] {
    return pullStatements(this.#repositoryArn);
  }
}

/** An image that exists, used as it is. */
export function givenImage(ref: string, { partition }: Account): ImageLike {
  const ecr = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/([^:@]+)/.exec(ref);
  const [, accountId, region, repository] = ecr ?? [];
  const arn = pulumi.interpolate`arn:${partition}:ecr:${region}:${accountId}:repository/${repository}`;
  return { ref: pulumi.output(ref), pullStatements: () => (ecr === null ? [] : pullStatements(arn)) };
}

function pullStatements(repositoryArn: pulumi.Input<string>): Statement[] {
  return [
    // It names no repository and gives none: a token is good for what the caller may pull.
    { Sid: "LogInToRegistry", Effect: "Allow", Action: ["ecr:GetAuthorizationToken"], Resource: ["*"] },
    {
      Sid: "PullImage",
      Effect: "Allow",
      Action: ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
      Resource: [repositoryArn],
    },
  ];
}

/** A digest over all that goes into the image. */
function contentTag(settings: readonly string[]): string {
  const hash = createHash("sha256").update(JSON.stringify(settings));
  const files = SOURCES.flatMap((source) =>
    statSync(join(ROOT, source)).isDirectory() ? globSync(`${source}/**/*`, { cwd: ROOT }) : [source],
  );
  for (const file of files.toSorted()) {
    if (file.split(sep).join("/").startsWith(`${BUILT}/`)) continue;
    if (!statSync(join(ROOT, file)).isFile()) continue;
    const text = readFileSync(join(ROOT, file));
    hash.update(JSON.stringify([file.split(sep).join("/"), text.length])).update(text);
  }
  return hash.digest("hex").slice(0, 16);
}

function lifecycle(): string {
  const expire = (rulePriority: number, description: string, selection: Record<string, unknown>) => ({
    rulePriority,
    description,
    selection,
    action: { type: "expire" },
  });
  return JSON.stringify({
    rules: [
      expire(1, "What a failed push left behind", {
        tagStatus: "untagged",
        countType: "sinceImagePushed",
        countUnit: "days",
        countNumber: 14,
      }),
      expire(2, `All but the last ${KEPT_IMAGES}`, {
        tagStatus: "any",
        countType: "imageCountMoreThan",
        countNumber: KEPT_IMAGES,
      }),
    ],
  });
}
