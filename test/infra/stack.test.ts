/** The program as a whole: what each configuration makes, and what holds for every resource of it. */
import { beforeAll, describe, expect, it } from "vitest";
import { deployProgram, PRODUCTION, type Program, stackFile } from "./program.ts";
import { DIGEST, policyOf, type RecordedResource } from "./support.ts";

const PASSWORD = "only-for-an-emulator";

const programs: Record<string, Program> = {};
beforeAll(async () => {
  programs.default = await deployProgram({}, { stack: "test" });
  programs.production = await deployProgram(PRODUCTION, { stack: "production" });
  programs.localstack = await deployProgram(stackFile("localstack"), { stack: "localstack" });
  programs.closed = await deployProgram({ natGateways: "none", scalingDriver: "off" }, { stack: "closed" });
});

const all = ["default", "production", "localstack", "closed"];
const program = (name: string): Program => programs[name]!;
const custom = ({ resources }: Program) => resources.filter(({ type }) => type.startsWith("aws:"));
const input = (resource: RecordedResource, name: string) => resource.inputs[name];

type ContainerDefinition = {
  name: string;
  image: string;
  environment: { name: string; value: string }[];
  dependsOn?: unknown;
  secrets?: unknown;
} & Record<string, unknown>;
const containers = (of: Program, service: string) =>
  JSON.parse(
    String(of.find("aws:ecs/taskDefinition:TaskDefinition", service).inputs.containerDefinitions),
  ) as ContainerDefinition[];
const variable = (container: ContainerDefinition, name: string) =>
  container.environment.find((one) => one.name === name)?.value;

describe.each(all)("the %s stack", (name) => {
  it("makes exactly these resources", async () => {
    await expect(`${program(name).names().join("\n")}\n`).toMatchFileSnapshot(`inventory/${name}.txt`);
  });

  it("makes every resource with the tagging provider, by component or by itself", () => {
    for (const resource of custom(program(name))) {
      expect(resource.provider, `${resource.type} ${resource.name}`).toMatch(/\$pulumi:providers:aws::aws::/);
    }
    const { defaultTags } = program(name).find("pulumi:providers:aws").inputs;
    expect(JSON.parse(String(defaultTags))).toEqual({
      tags: { Project: "taskiq-aws", Stack: name === "default" ? "test" : name, ManagedBy: "pulumi" },
    });
  });

  it("starts every physical name that others must know with its prefix", () => {
    const prefix = `taskiq-${name === "default" ? "test" : name}`;
    const fixed = [
      "aws:sqs/queue:Queue",
      "aws:ecs/cluster:Cluster",
      "aws:ecs/service:Service",
      "aws:lb/loadBalancer:LoadBalancer",
    ];
    for (const type of fixed) {
      for (const resource of program(name).all(type))
        expect(String(resource.inputs.name)).toMatch(new RegExp(`^${prefix}(-|$)`));
    }
    for (const { inputs } of program(name).all("aws:cloudwatch/logGroup:LogGroup"))
      expect(String(inputs.name)).toContain(prefix);
  });

  it("tells no container a secret", () => {
    for (const service of ["api", "worker"]) {
      for (const container of containers(program(name), service)) {
        expect(container.secrets).toBeUndefined();
        expect(JSON.stringify(container)).not.toContain(PASSWORD);
        expect(variable(container, "DATABASE_URL")).not.toMatch(/:\/\/[^/]*:[^/]*@/);
      }
    }
  });

  it("lets no secret into a plain input", () => {
    for (const resource of program(name).resources) {
      const plain = Object.entries(resource.inputs).filter(([key]) => !resource.secretInputs.includes(key));
      expect(JSON.stringify(plain), `${resource.type} ${resource.name}`).not.toContain(PASSWORD);
      expect(JSON.stringify(plain), `${resource.type} ${resource.name}`).not.toContain("registry-token");
    }
  });

  it("hands every queue to every service", () => {
    const made = program(name)
      .all("aws:sqs/queue:Queue")
      .map(({ inputs }) => String(inputs.name))
      .sort();
    for (const service of ["api", "worker"] as const) {
      const queues = JSON.parse(String(variable(containers(program(name), service)[0]!, "TASKIQ_QUEUES"))) as {
        url: string;
        deadLetterUrl?: string;
      }[];
      const told = queues.flatMap(({ url, deadLetterUrl }) => [
        url,
        ...(deadLetterUrl === undefined ? [] : [deadLetterUrl]),
      ]);
      expect([...new Set(told.map((url) => url.split("/").pop()))].sort()).toEqual(made);
    }
  });

  it("opens nothing to everybody but the way out to AWS, for HTTPS", () => {
    for (const { inputs } of program(name).all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")) {
      expect(inputs.cidrIpv4).not.toBe("0.0.0.0/0");
      expect(inputs.cidrIpv6).toBeUndefined();
    }
    for (const { inputs } of program(name).all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")) {
      if (inputs.cidrIpv4 === "0.0.0.0/0") expect([inputs.fromPort, inputs.toPort]).toEqual([443, 443]);
    }
  });

  it("has the workers follow the API, whose tasks migrate first", () => {
    expect(containers(program(name), "api").map((one) => [one.name, one.essential, one.dependsOn])).toEqual([
      ["api", true, [{ containerName: "migrate", condition: "SUCCESS" }]],
      ["migrate", false, undefined],
    ]);
    expect(dependencies(program(name).find("taskiq-aws:infra:WorkerService"))).toEqual(["taskiq-aws:infra:ApiService"]);
  });
});

describe("protection", () => {
  it("guards database, bucket and load balancer by Pulumi and by AWS", () => {
    const { production } = programs;
    const database = production!.find("aws:rds/instance:Instance");
    expect(database.options.protect).toBe(true);
    expect(database.inputs).toMatchObject({ deletionProtection: true, skipFinalSnapshot: false });
    const balancer = production!.find("aws:lb/loadBalancer:LoadBalancer");
    expect(balancer.options.protect).toBe(true);
    expect(balancer.inputs.enableDeletionProtection).toBe(true);
    expect(production!.find("taskiq-aws:infra:PayloadBucket").options.protect).toBe(true);
    expect(production!.find("aws:s3/bucket:Bucket").inputs.forceDestroy).toBe(false);
  });

  it("lets a throwaway stack go", () => {
    const { localstack } = programs;
    expect(localstack!.resources.filter(({ options }) => options.protect === true)).toEqual([]);
    expect(localstack!.find("aws:s3/bucket:Bucket").inputs.forceDestroy).toBe(true);
    expect(localstack!.find("aws:rds/instance:Instance").inputs).toMatchObject({
      deletionProtection: false,
      skipFinalSnapshot: true,
    });
  });
});

describe("scaling", () => {
  const service = (name: string, of: string) => program(name).find("aws:ecs/service:Service", of);
  const scaling = (name: string) => variable(containers(program(name), "api")[0]!, "TASKIQ_SCALING");

  it("has one driver for the workers, never two", () => {
    const targets = (name: string) =>
      program(name)
        .all("aws:appautoscaling/target:Target")
        .map((one) => one.name);
    expect([targets("default"), scaling("default")]).toEqual([["api", "autoscaling"], "off"]);
    expect([targets("localstack"), scaling("localstack")]).toEqual([[], "builtin"]);
    expect([targets("closed"), scaling("closed")]).toEqual([["api"], "off"]);
  });

  it("leaves the number of tasks to who scales the service, and to the configuration where nobody does", () => {
    expect(service("default", "worker").options.ignoreChanges).toEqual(["desiredCount"]);
    expect(service("default", "api").options.ignoreChanges).toEqual(["desiredCount"]);
    expect(service("localstack", "worker").options.ignoreChanges).toEqual(["desiredCount"]);
    expect(service("localstack", "api").options.ignoreChanges).toEqual([]);
    expect(service("closed", "worker").options.ignoreChanges).toEqual([]);
  });

  it("hands the numbers of the policy to the builtin driver in milliseconds", () => {
    const environment = containers(program("localstack"), "api")[0]!.environment;
    const told = Object.fromEntries(
      environment.filter(({ name }) => name.startsWith("TASKIQ_SCALING")).map(({ name, value }) => [name, value]),
    );
    expect(told).toEqual({
      TASKIQ_SCALING: "builtin",
      TASKIQ_SCALING_CLUSTER: "taskiq-localstack",
      TASKIQ_SCALING_SERVICE: "taskiq-localstack-worker",
      TASKIQ_SCALING_MIN: "1",
      TASKIQ_SCALING_MAX: "3",
      TASKIQ_SCALING_PER_WORKER: "5",
      TASKIQ_SCALING_OUT_ABOVE: "10",
      TASKIQ_SCALING_IN_BELOW: "2",
      TASKIQ_SCALING_OUT_COOLDOWN_MS: "5000",
      TASKIQ_SCALING_IN_COOLDOWN_MS: "10000",
    });
  });

  it("follows the CPU load of the API between its bounds", () => {
    expect(program("default").find("aws:appautoscaling/target:Target", "api").inputs).toEqual({
      serviceNamespace: "ecs",
      scalableDimension: "ecs:service:DesiredCount",
      resourceId: "service/taskiq-test/taskiq-test-api",
      minCapacity: 2,
      maxCapacity: 6,
    });
    expect(program("default").find("aws:appautoscaling/policy:Policy", "api-cpu").inputs).toMatchObject({
      policyType: "TargetTrackingScaling",
      targetTrackingScalingPolicyConfiguration: {
        predefinedMetricSpecification: { predefinedMetricType: "ECSServiceAverageCPUUtilization" },
        targetValue: 60,
      },
    });
  });
});

describe("permissions", () => {
  const actions = (name: string, role: string) =>
    policyOf(program(name).find("aws:iam/rolePolicy:RolePolicy", role).inputs.policy)
      .Statement.flatMap(({ Action }) => Action)
      .filter((action, index, list) => list.indexOf(action) === index)
      .sort();

  it("gives each role what the code it runs calls", () => {
    expect(actions("production", "api")).toEqual([
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:ListBucket",
      "s3:PutObject",
      "secretsmanager:GetSecretValue",
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]);
    expect(actions("production", "worker")).toEqual([
      "ecs:UpdateTaskProtection",
      "s3:GetObject",
      "s3:ListBucket",
      "s3:PutObject",
      "secretsmanager:GetSecretValue",
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]);
  });

  it("lets the API scale the workers only where it is the driver, and only them", () => {
    expect(actions("production", "api")).not.toContain("ecs:UpdateService");
    const { Statement } = policyOf(program("localstack").find("aws:iam/rolePolicy:RolePolicy", "api").inputs.policy);
    expect(Statement.find(({ Sid }) => Sid === "ScaleService")).toEqual({
      Sid: "ScaleService",
      Effect: "Allow",
      Action: ["ecs:DescribeServices", "ecs:UpdateService"],
      Resource: ["arn:aws:ecs:us-east-1:111122223333:service/taskiq-localstack/taskiq-localstack-worker"],
    });
  });

  it("gives no role a star but for the login at the registry, which AWS cannot narrow", () => {
    for (const name of all) {
      for (const { name: role, inputs } of program(name).all("aws:iam/rolePolicy:RolePolicy")) {
        for (const { Action, Resource, Sid } of policyOf(inputs.policy).Statement) {
          expect(JSON.stringify(Action)).not.toContain("*");
          if (JSON.stringify(Resource) === '["*"]') expect([role, Sid]).toEqual(["execution", "LogInToRegistry"]);
        }
      }
    }
  });

  it("lets what starts containers pull one image and write to two log groups, no more", () => {
    expect(
      policyOf(program("default").find("aws:iam/rolePolicy:RolePolicy", "execution").inputs.policy).Statement,
    ).toEqual([
      { Sid: "LogInToRegistry", Effect: "Allow", Action: ["ecr:GetAuthorizationToken"], Resource: ["*"] },
      {
        Sid: "PullImage",
        Effect: "Allow",
        Action: ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
        Resource: ["arn:aws:ecr:us-east-1:111122223333:repository/taskiq-test"],
      },
      ...["api", "worker"].map((service) => ({
        Sid: `WriteLogOf${service === "api" ? "Api" : "Worker"}`,
        Effect: "Allow",
        Action: ["logs:CreateLogStream", "logs:PutLogEvents"],
        Resource: [`arn:aws:logs:us-east-1:111122223333:log-group:/taskiq/taskiq-test/${service}:log-stream:*`],
      })),
    ]);
  });

  it("lets ECS take on a role for tasks of this account only", () => {
    for (const { inputs } of program("default").all("aws:iam/role:Role")) {
      expect(policyOf(inputs.assumeRolePolicy).Statement).toEqual([
        {
          Effect: "Allow",
          Principal: { Service: "ecs-tasks.amazonaws.com" },
          Action: "sts:AssumeRole",
          Condition: {
            StringEquals: { "aws:SourceAccount": "111122223333" },
            ArnLike: { "aws:SourceArn": "arn:aws:ecs:us-east-1:111122223333:*" },
          },
        },
      ]);
    }
  });
});

describe("the outputs", () => {
  it("are few and flat", () => {
    expect(Object.keys(program("default").outputs).sort()).toEqual([
      "apiServiceName",
      "apiUrl",
      "bucketName",
      "clusterName",
      "dashboardUrl",
      "databaseSecretArn",
      "imageRef",
      "loadBalancerDnsName",
      "localUrl",
      "logGroups",
      "queueArns",
      "queueUrls",
      "workerSecurityGroupId",
      "workerServiceName",
    ]);
  });

  it("say where the API is, also where names do not resolve", () => {
    expect(program("production").outputs).toMatchObject({
      apiUrl: "https://tasks.example.com",
      localUrl: "https://tasks.example.com",
    });
    expect(program("localstack").outputs).toMatchObject({
      apiUrl: "http://taskiq-localstack-api-1234567890.us-east-1.elb.amazonaws.com",
      localUrl: "http://localhost:4566/_alb/taskiq-localstack-api",
    });
  });

  it("name every queue by its name in the stack", () => {
    expect(Object.keys(program("production").outputs.queueUrls as object)).toEqual([
      "default",
      "tenants",
      "ordered",
      "dead-letter",
      "dead-letter-fifo",
      "cancel",
    ]);
    expect(program("production").outputs.queueArns).toMatchObject({
      ordered: "arn:aws:sqs:us-east-1:111122223333:taskiq-production-ordered.fifo",
    });
  });

  it("name the image by its digest", () => {
    expect(program("default").outputs.imageRef).toBe(
      `111122223333.dkr.ecr.us-east-1.amazonaws.com/taskiq-test@${DIGEST}`,
    );
    for (const service of ["api", "worker"]) {
      for (const { image } of containers(program("default"), service))
        expect(image).toBe(program("default").outputs.imageRef);
    }
  });
});

describe("the provider", () => {
  it("is set up by the stack's aws: keys", () => {
    const { inputs, secretInputs } = program("localstack").find("pulumi:providers:aws");
    expect(JSON.parse(String(input({ inputs } as RecordedResource, "endpoints")))).toEqual([
      expect.objectContaining({
        sqs: "http://localhost:4566",
        sts: "http://localhost:4566",
        s3control: "http://localhost:4566",
      }),
    ]);
    expect(inputs).toMatchObject({ region: "us-east-1", accessKey: "test", s3UsePathStyle: "true", maxRetries: "3" });
    expect(secretInputs).toEqual(["accessKey", "secretKey"]);
  });

  it("adds its tags to those that the aws: keys give every resource", async () => {
    const mine = { tags: { CostCenter: "42", Stack: "not this" } };
    const { find } = await deployProgram({ "aws:defaultTags": mine }, { stack: "tagged" });
    expect(JSON.parse(String(find("pulumi:providers:aws").inputs.defaultTags))).toEqual({
      tags: { CostCenter: "42", Project: "taskiq-aws", Stack: "tagged", ManagedBy: "pulumi" },
    });
  });

  it("is asked whenever the program looks something up", () => {
    expect(
      program("localstack")
        .calls.map(({ token }) => token.split(":").pop())
        .sort(),
    ).toEqual(["getCallerIdentity", "getPartition", "getRegion", "getSubnets", "getVpc"]);
    expect(program("localstack").calls.filter(({ provider }) => !provider.includes("::aws::"))).toEqual([]);
  });
});

/** Types of the resources that one says it depends on. */
function dependencies({ options }: RecordedResource): string[] {
  const { dependsOn } = options;
  if (!Array.isArray(dependsOn)) return [];
  return dependsOn.map((one) => String((one as { __pulumiType?: string }).__pulumiType)); // a field of every resource
}
