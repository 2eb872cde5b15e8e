/** Where the stack runs, and who may talk to whom in it. */
import { beforeAll, describe, expect, it } from "vitest";
import { deployProgram, PRODUCTION, type Program } from "./program.ts";

let plain: Program;
let production: Program;
let closed: Program;
let existing: Program;
beforeAll(async () => {
  plain = await deployProgram();
  production = await deployProgram(PRODUCTION, { stack: "production" });
  closed = await deployProgram({ natGateways: "none", availabilityZones: ["us-east-1a", "us-east-1c"] });
  existing = await deployProgram({
    databaseUrl: "postgres://app@db.example.com:6432/tasks?sslmode=verify-full",
    databaseSecretArn: "arn:aws:secretsmanager:us-east-1:111122223333:secret:theirs-AbCdEf",
    databaseSecurityGroupId: "sg-theirs",
  });
});

const INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule";
const EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule";
const group = (name: string) => `sg-${name}-abc1234`;

/** "group port from peer" of every rule. */
const rules = (of: Program, type: string) =>
  of
    .all(type)
    .map(
      ({
        inputs: { securityGroupId, fromPort, toPort, ipProtocol, cidrIpv4, referencedSecurityGroupId, prefixListId },
      }) => {
        expect([ipProtocol, toPort]).toEqual(["tcp", fromPort]);
        return `${securityGroupId} ${fromPort} ${cidrIpv4 ?? referencedSecurityGroupId ?? prefixListId}`;
      },
    )
    .sort();

describe("a VPC that is made", () => {
  it("has public, private and isolated subnets in two zones, and one NAT gateway", () => {
    expect(plain.find("awsx:ec2:Vpc").inputs).toEqual({
      cidrBlock: "10.80.0.0/16",
      numberOfAvailabilityZones: 2,
      enableDnsHostnames: true,
      enableDnsSupport: true,
      natGateways: { strategy: "Single" },
      subnetStrategy: "Auto",
      subnetNameTagStrategy: "AvailabilityZone",
      subnetSpecs: [
        { type: "Private", name: "private", cidrMask: 19 },
        { type: "Public", name: "public", cidrMask: 22 },
        { type: "Isolated", name: "database", cidrMask: 22 },
      ],
    });
  });

  it("has no security group of awsx, whose default is open", () => {
    expect(plain.all("aws:ec2/securityGroup:SecurityGroup").map(({ name }) => name)).toEqual([
      "firewall-api",
      "firewall-database",
      "firewall-load-balancer",
      "firewall-worker",
    ]);
  });

  it("always reaches S3 by its own road, in every route table", () => {
    for (const program of [plain, closed]) {
      expect(program.find("aws:ec2/vpcEndpoint:VpcEndpoint", "network-s3").inputs).toEqual({
        vpcId: "vpc-made",
        serviceName: "com.amazonaws.us-east-1.s3",
        vpcEndpointType: "Gateway",
        routeTableIds: ["rtb-a", "rtb-b"],
      });
    }
  });

  it("without NAT has an endpoint for every service that containers call, for them alone", () => {
    expect(closed.find("awsx:ec2:Vpc").inputs).toMatchObject({
      availabilityZoneNames: ["us-east-1a", "us-east-1c"],
      natGateways: { strategy: "None" },
    });
    const endpoints = closed
      .all("aws:ec2/vpcEndpoint:VpcEndpoint")
      .filter(({ inputs }) => inputs.vpcEndpointType === "Interface");
    expect(endpoints.map(({ inputs }) => String(inputs.serviceName).replace("com.amazonaws.us-east-1.", ""))).toEqual([
      "ecr.api",
      "ecr.dkr",
      "ecs",
      "logs",
      "secretsmanager",
      "sqs",
    ]);
    for (const { inputs } of endpoints) {
      expect(inputs).toMatchObject({
        privateDnsEnabled: true,
        subnetIds: ["subnet-private-a", "subnet-private-b"],
        securityGroupIds: [group("endpoints")],
      });
    }
    expect(rules(closed, INGRESS)).toEqual(
      expect.arrayContaining([
        `${group("endpoints")} 443 ${group("firewall-api")}`,
        `${group("endpoints")} 443 ${group("firewall-worker")}`,
      ]),
    );
    expect(rules(closed, EGRESS).filter((rule) => rule.includes(" 443 "))).toEqual([
      `${group("firewall-api")} 443 pl-63a5400a`,
      `${group("firewall-api")} 443 ${group("endpoints")}`,
      `${group("firewall-worker")} 443 pl-63a5400a`,
      `${group("firewall-worker")} 443 ${group("endpoints")}`,
    ]);
  });
});

describe("a VPC that exists", () => {
  it("gets no VPC, no endpoint and no NAT gateway", () => {
    expect(production.all("awsx:ec2:Vpc")).toEqual([]);
    expect(production.all("aws:ec2/vpcEndpoint:VpcEndpoint")).toEqual([]);
  });

  it("has database and containers in the subnets it was given", () => {
    expect(production.find("aws:rds/subnetGroup:SubnetGroup").inputs.subnetIds).toEqual(["subnet-0eee", "subnet-0fff"]);
  });

  it("has the database among the containers where no subnets are named for it", async () => {
    const program = await deployProgram({ vpcId: "vpc-1", privateSubnetIds: ["subnet-1", "subnet-2"] });
    expect(program.find("aws:rds/subnetGroup:SubnetGroup").inputs.subnetIds).toEqual(["subnet-1", "subnet-2"]);
    // Its callers are its own addresses, which are looked up.
    expect(rules(program, INGRESS)).toContain(`${group("firewall-load-balancer")} 80 172.31.0.0/16`);
  });
});

describe("the firewall", () => {
  it("admits callers, the load balancer and containers, each to one port of one peer", () => {
    expect(rules(plain, INGRESS)).toEqual([
      `${group("firewall-api")} 8080 ${group("firewall-load-balancer")}`,
      `${group("firewall-database")} 5432 ${group("firewall-api")}`,
      `${group("firewall-database")} 5432 ${group("firewall-worker")}`,
      `${group("firewall-load-balancer")} 80 10.80.0.0/16`,
    ]);
  });

  it("lets out to the database, to the API, and for HTTPS to AWS", () => {
    expect(rules(plain, EGRESS)).toEqual([
      `${group("firewall-api")} 443 0.0.0.0/0`,
      `${group("firewall-api")} 5432 ${group("firewall-database")}`,
      `${group("firewall-load-balancer")} 8080 ${group("firewall-api")}`,
      `${group("firewall-worker")} 443 0.0.0.0/0`,
      `${group("firewall-worker")} 5432 ${group("firewall-database")}`,
    ]);
  });

  it("admits the networks of the stack alone to a public API, on both ports of HTTPS", () => {
    expect(rules(production, INGRESS).filter((rule) => rule.startsWith(group("firewall-load-balancer")))).toEqual([
      `${group("firewall-load-balancer")} 443 198.51.100.7/32`,
      `${group("firewall-load-balancer")} 443 203.0.113.0/24`,
      `${group("firewall-load-balancer")} 80 198.51.100.7/32`,
      `${group("firewall-load-balancer")} 80 203.0.113.0/24`,
    ]);
  });

  it("opens the security group of a database that exists, on its port", () => {
    expect(rules(existing, INGRESS).filter((rule) => rule.startsWith("sg-theirs"))).toEqual([
      `sg-theirs 6432 ${group("firewall-api")}`,
      `sg-theirs 6432 ${group("firewall-worker")}`,
    ]);
    expect(existing.all("aws:rds/instance:Instance")).toEqual([]);
    expect(existing.all("aws:ec2/securityGroup:SecurityGroup").map(({ name }) => name)).not.toContain(
      "firewall-database",
    );
    expect(existing.outputs.databaseSecretArn).toBe(
      "arn:aws:secretsmanager:us-east-1:111122223333:secret:theirs-AbCdEf",
    );
  });
});
