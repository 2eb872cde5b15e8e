/** Services, containers and what they stand behind, as ECS and Elastic Load Balancing would receive them. */
import { beforeAll, describe, expect, it } from "vitest";
import { capacity } from "../../infra/worker-service.ts";
import { deployProgram, PRODUCTION, type Program } from "./program.ts";

let plain: Program;
let production: Program;
let fixed: Program;
beforeAll(async () => {
  plain = await deployProgram();
  production = await deployProgram(PRODUCTION, { stack: "production" });
  fixed = await deployProgram({ apiMin: 3, apiMax: 3, scalingDriver: "off", vpcId: "default" });
});

const SERVICE = "aws:ecs/service:Service";
const DEFINITION = "aws:ecs/taskDefinition:TaskDefinition";

type Definition = Record<string, unknown>;
const containers = (of: Program, service: string) =>
  JSON.parse(String(of.find(DEFINITION, service).inputs.containerDefinitions)) as Definition[];

describe("a task definition", () => {
  it("is for Fargate, with the size and the processors of the stack", () => {
    expect(plain.find(DEFINITION, "worker").inputs).toMatchObject({
      family: "taskiq-test-worker",
      requiresCompatibilities: ["FARGATE"],
      networkMode: "awsvpc",
      cpu: "1024",
      memory: "2048",
      runtimePlatform: { operatingSystemFamily: "LINUX", cpuArchitecture: "ARM64" },
      volumes: [{ name: "scratch" }],
    });
    expect(plain.find(DEFINITION, "api").inputs).toMatchObject({ cpu: "512", memory: "1024" });
  });

  it("has roles of its own for what it does, and one for starting it", () => {
    const arn = (role: string) => `arn:aws:iam::111122223333:role/${role}-abc1234`;
    expect(plain.find(DEFINITION, "api").inputs).toMatchObject({
      taskRoleArn: arn("api"),
      executionRoleArn: arn("execution"),
    });
    expect(plain.find(DEFINITION, "worker").inputs).toMatchObject({
      taskRoleArn: arn("worker"),
      executionRoleArn: arn("execution"),
    });
  });

  it("shuts every container in: no root, no capabilities, one place to write", () => {
    for (const container of [...containers(plain, "api"), ...containers(plain, "worker")]) {
      expect(container).toMatchObject({
        user: "65532:65532",
        readonlyRootFilesystem: true,
        mountPoints: [{ sourceVolume: "scratch", containerPath: "/tmp", readOnly: false }],
        linuxParameters: { initProcessEnabled: true, capabilities: { drop: ["ALL"] } },
        stopTimeout: 120,
      });
      expect(container).not.toHaveProperty("privileged");
    }
  });

  it("writes the lines of each container to its service's log group without ever waiting for it", () => {
    for (const [service, container] of [
      ["api", "migrate"],
      ["api", "api"],
      ["worker", "worker"],
    ] as const) {
      expect(containers(plain, service).find(({ name }) => name === container)!.logConfiguration).toEqual({
        logDriver: "awslogs",
        options: {
          "awslogs-group": `/taskiq/taskiq-test/${service}`,
          "awslogs-region": "us-east-1",
          "awslogs-stream-prefix": container,
          mode: "non-blocking",
          "max-buffer-size": "25m",
        },
      });
    }
  });

  it("asks for liveness only, never for the database: /livez, within the bounds of ECS", () => {
    for (const [service, port] of [
      ["api", 8080],
      ["worker", 8081],
    ] as const) {
      const { command, interval, timeout, retries, startPeriod } = containers(plain, service)[0]!.healthCheck as {
        command: string[];
        interval: number;
        timeout: number;
        retries: number;
        startPeriod: number;
      };
      expect(command.slice(0, 3)).toEqual(["CMD", "node", "-e"]);
      expect(command[3]).toContain(`.get("http://127.0.0.1:${port}/livez", `);
      expect([interval, timeout, retries, startPeriod]).toEqual([15, 5, 3, 60]);
    }
    expect(containers(plain, "api")[1]).not.toHaveProperty("healthCheck");
  });

  it("lists variables in the order of their names, as AWS gives them back", () => {
    for (const container of [...containers(plain, "api"), ...containers(plain, "worker")]) {
      const names = (container.environment as { name: string }[]).map(({ name }) => name);
      expect(names).toEqual(names.toSorted());
    }
  });
});

describe("a service", () => {
  it("rolls out with the circuit breaker, and back", () => {
    for (const service of ["api", "worker"]) {
      expect(plain.find(SERVICE, service).inputs).toMatchObject({
        deploymentCircuitBreaker: { enable: true, rollback: true },
        deploymentMaximumPercent: 200,
        waitForSteadyState: true,
        enableExecuteCommand: false,
        propagateTags: "SERVICE",
        enableEcsManagedTags: true,
      });
      // A launch type would rule the capacity providers out.
      expect(plain.find(SERVICE, service).inputs).not.toHaveProperty("launchType");
    }
    expect(plain.find(SERVICE, "api").inputs.deploymentMinimumHealthyPercent).toBe(100);
    expect(plain.find(SERVICE, "worker").inputs.deploymentMinimumHealthyPercent).toBe(50);
  });

  it("can be deleted while a scaler sets its number", () => {
    expect(plain.find(SERVICE, "worker").inputs.forceDelete).toBe(true);
    expect(fixed.find(SERVICE, "worker").inputs.forceDelete).toBe(false);
  });

  it("runs in private subnets, behind its own security group, without an address of its own", () => {
    expect(production.find(SERVICE, "worker").inputs.networkConfiguration).toEqual({
      subnets: ["subnet-0ccc", "subnet-0ddd"],
      securityGroups: ["sg-firewall-worker-abc1234"],
      assignPublicIp: false,
    });
    expect(production.find(SERVICE, "api").inputs.networkConfiguration).toMatchObject({
      securityGroups: ["sg-firewall-api-abc1234"],
    });
  });

  it("has an address where the default VPC gives no other way to AWS", () => {
    expect(fixed.find(SERVICE, "api").inputs.networkConfiguration).toEqual({
      subnets: ["subnet-default-a", "subnet-default-b"],
      securityGroups: ["sg-firewall-api-abc1234"],
      assignPublicIp: true,
    });
  });

  it("of the API is reached through its target group, and is given time to migrate", () => {
    expect(plain.find(SERVICE, "api").inputs).toMatchObject({
      loadBalancers: [{ containerName: "api", containerPort: 8080 }],
      healthCheckGracePeriodSeconds: 330,
      desiredCount: 2,
      availabilityZoneRebalancing: "ENABLED",
    });
  });

  it("of the workers is reached by nobody, and is not stopped to even out zones", () => {
    const { inputs } = plain.find(SERVICE, "worker");
    expect(inputs).not.toHaveProperty("loadBalancers");
    // ECS refuses it without a load balancer.
    expect(inputs).not.toHaveProperty("healthCheckGracePeriodSeconds");
    expect(inputs.availabilityZoneRebalancing).toBe("DISABLED");
  });

  it("has the number of tasks of the stack where nobody scales it", () => {
    expect(fixed.find(SERVICE, "api").inputs.desiredCount).toBe(3);
    expect(fixed.all("aws:appautoscaling/target:Target")).toEqual([]);
  });
});

describe("capacity", () => {
  it("keeps the API off Spot", () => {
    expect(production.find(SERVICE, "api").inputs.capacityProviderStrategies).toEqual([
      { capacityProvider: "FARGATE", base: 0, weight: 1 },
    ]);
  });

  it("runs the fewest workers on demand and shares out the others", () => {
    expect(production.find(SERVICE, "worker").inputs.capacityProviderStrategies).toEqual([
      { capacityProvider: "FARGATE", base: 2, weight: 25 },
      { capacityProvider: "FARGATE_SPOT", base: 0, weight: 75 },
    ]);
  });

  it("has all workers on demand at 0 and all on Spot at 100", () => {
    expect(capacity({ min: 2, spotPercent: 0 })).toEqual([{ provider: "FARGATE", base: 0, weight: 1 }]);
    expect(capacity({ min: 2, spotPercent: 100 })).toEqual([{ provider: "FARGATE_SPOT", base: 0, weight: 1 }]);
  });

  it("is allowed in the cluster before a service asks for it", () => {
    expect(plain.find("aws:ecs/clusterCapacityProviders:ClusterCapacityProviders").inputs).toEqual({
      clusterName: "taskiq-test",
      capacityProviders: ["FARGATE", "FARGATE_SPOT"],
    });
  });
});

describe("the load balancer", () => {
  const BALANCER = "aws:lb/loadBalancer:LoadBalancer";
  const LISTENER = "aws:lb/listener:Listener";

  it("is inside the VPC unless the stack says otherwise", () => {
    expect(plain.find(BALANCER).inputs).toMatchObject({
      internal: true,
      subnets: ["subnet-private-a", "subnet-private-b"],
    });
    expect(production.find(BALANCER).inputs).toMatchObject({
      internal: false,
      subnets: ["subnet-0aaa", "subnet-0bbb"],
    });
  });

  it("is strict, closes idle connections before Node does, and logs where told", () => {
    expect(production.find(BALANCER).inputs).toMatchObject({
      name: "taskiq-production-api",
      idleTimeout: 60,
      dropInvalidHeaderFields: true,
      desyncMitigationMode: "strictest",
      enableDeletionProtection: true,
      accessLogs: { bucket: "example-access-logs", prefix: "taskiq-production-api", enabled: true },
    });
    expect(plain.find(BALANCER).inputs).not.toHaveProperty("accessLogs");
  });

  it("serves HTTPS with the certificate and sends plain HTTP there", () => {
    expect(production.find(LISTENER, "api-443").inputs).toMatchObject({
      port: 443,
      protocol: "HTTPS",
      sslPolicy: "ELBSecurityPolicy-TLS13-1-2-2021-06",
      certificateArn: PRODUCTION.certificateArn,
      defaultActions: [{ type: "forward" }],
    });
    expect(production.find(LISTENER, "api-80").inputs).toMatchObject({
      port: 80,
      protocol: "HTTP",
      defaultActions: [{ type: "redirect", redirect: { protocol: "HTTPS", port: "443", statusCode: "HTTP_301" } }],
    });
  });

  it("serves plain HTTP without one", () => {
    expect(plain.all(LISTENER).map(({ inputs }) => [inputs.port, inputs.protocol])).toEqual([[80, "HTTP"]]);
  });

  it("asks the API for readiness, and lets callers who wait be answered before an old task goes", () => {
    expect(plain.find("aws:lb/targetGroup:TargetGroup").inputs).toMatchObject({
      targetType: "ip",
      protocol: "HTTP",
      port: 8080,
      deregistrationDelay: 60,
      healthCheck: {
        path: "/readyz",
        matcher: "200",
        interval: 10,
        timeout: 5,
        healthyThreshold: 2,
        unhealthyThreshold: 3,
      },
    });
  });
});
