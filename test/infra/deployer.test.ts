import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { type PolicyStatement, policyOf } from "./support.ts";

const FOLDER = resolve(import.meta.dirname, "../../infra/deployer");
const INVENTORIES = resolve(import.meta.dirname, "inventory");
/** AWS's limit for a managed policy, white space not counted. */
const MAX_CHARACTERS = 6_144;

const documents = readdirSync(FOLDER).map((name) => ({
  name,
  ...policyOf(readFileSync(join(FOLDER, name), "utf8")),
}));
const statements = documents.flatMap(({ Statement }) => Statement);
const actions = new Set(statements.flatMap(({ Action }) => Action));
const resourcesOf = ({ Resource }: PolicyStatement) => (typeof Resource === "string" ? [Resource] : Resource);

/** What it takes to make and to remove each type of resource. */
const NEEDED: Record<string, readonly string[]> = {
  "aws:appautoscaling/policy:Policy": [
    "application-autoscaling:PutScalingPolicy",
    "application-autoscaling:DeleteScalingPolicy",
  ],
  "aws:appautoscaling/target:Target": [
    "application-autoscaling:RegisterScalableTarget",
    "application-autoscaling:DeregisterScalableTarget",
  ],
  "aws:cloudwatch/dashboard:Dashboard": [
    "cloudwatch:PutDashboard",
    "cloudwatch:GetDashboard",
    "cloudwatch:DeleteDashboards",
  ],
  "aws:cloudwatch/logGroup:LogGroup": ["logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:DeleteLogGroup"],
  "aws:cloudwatch/metricAlarm:MetricAlarm": ["cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"],
  "aws:ec2/securityGroup:SecurityGroup": ["ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:CreateTags"],
  "aws:ec2/vpcEndpoint:VpcEndpoint": ["ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints"],
  "aws:ecr/lifecyclePolicy:LifecyclePolicy": ["ecr:PutLifecyclePolicy", "ecr:DeleteLifecyclePolicy"],
  "aws:ecr/repository:Repository": ["ecr:CreateRepository", "ecr:DeleteRepository"],
  "aws:ecs/cluster:Cluster": ["ecs:CreateCluster", "ecs:DeleteCluster"],
  "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": ["ecs:PutClusterCapacityProviders"],
  "aws:ecs/service:Service": ["ecs:CreateService", "ecs:UpdateService", "ecs:DeleteService", "iam:PassRole"],
  "aws:ecs/taskDefinition:TaskDefinition": ["ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"],
  "aws:iam/role:Role": ["iam:CreateRole", "iam:DeleteRole", "iam:ListInstanceProfilesForRole"],
  "aws:iam/rolePolicy:RolePolicy": ["iam:PutRolePolicy", "iam:DeleteRolePolicy"],
  "aws:lb/listener:Listener": ["elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteListener"],
  "aws:lb/loadBalancer:LoadBalancer": [
    "elasticloadbalancing:CreateLoadBalancer",
    "elasticloadbalancing:DeleteLoadBalancer",
  ],
  "aws:lb/targetGroup:TargetGroup": [
    "elasticloadbalancing:CreateTargetGroup",
    "elasticloadbalancing:DeleteTargetGroup",
  ],
  "aws:rds/instance:Instance": [
    "rds:CreateDBInstance",
    "rds:ModifyDBInstance",
    "rds:DeleteDBInstance",
    "secretsmanager:CreateSecret",
  ],
  "aws:rds/parameterGroup:ParameterGroup": [
    "rds:CreateDBParameterGroup",
    "rds:ModifyDBParameterGroup",
    "rds:DeleteDBParameterGroup",
  ],
  "aws:rds/subnetGroup:SubnetGroup": ["rds:CreateDBSubnetGroup", "rds:DeleteDBSubnetGroup"],
  "aws:s3/bucket:Bucket": ["s3:CreateBucket", "s3:DeleteBucket"],
  "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": ["s3:PutLifecycleConfiguration"],
  "aws:s3/bucketOwnershipControls:BucketOwnershipControls": ["s3:PutBucketOwnershipControls"],
  "aws:s3/bucketPolicy:BucketPolicy": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"],
  "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": ["s3:PutBucketPublicAccessBlock"],
  "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": [
    "s3:PutEncryptionConfiguration",
  ],
  "aws:sqs/queue:Queue": ["sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:DeleteQueue"],
  "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": [
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupEgress",
  ],
  "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": [
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:RevokeSecurityGroupIngress",
  ],
  "awsx:ec2:Vpc": ["ec2:CreateVpc", "ec2:CreateSubnet", "ec2:CreateNatGateway", "ec2:CreateRoute", "ec2:DeleteVpc"],
  "docker-build:index:Image": ["ecr:GetAuthorizationToken", "ecr:PutImage", "ecr:CompleteLayerUpload"],
  // Of throwaway stacks: infra/README.md says what to add.
  "aws:secretsmanager/secret:Secret": [],
  "aws:secretsmanager/secretVersion:SecretVersion": [],
};

describe("the policies of the deployer", () => {
  const types = new Set(
    readdirSync(INVENTORIES)
      .flatMap((name) => readFileSync(join(INVENTORIES, name), "utf8").trim().split("\n"))
      .map((line) => line.split(" ")[0]!)
      .filter((type) => !/^(taskiq-aws:infra|pulumi:providers):/.test(type)),
  );

  it.each([...types])("have what it takes to make and to remove a %s", (type) => {
    expect(NEEDED[type], `${type} is new: what does it need?`).toBeDefined();
    for (const action of NEEDED[type] ?? []) expect(actions).toContain(action);
  });

  it("allow all of a service nowhere, and a prefix of actions for reading only", () => {
    const wide = [...actions].filter((action) => action.includes("*"));
    expect(wide.toSorted()).toEqual([
      "application-autoscaling:Describe*",
      "ec2:Describe*",
      "ecs:Describe*",
      "ecs:List*",
      "elasticloadbalancing:Describe*",
      "rds:Describe*",
      "s3:GetBucket*",
    ]);
  });

  it("reach every resource only in statements that look, or that IAM cannot limit", () => {
    const everywhere = statements.filter((one) => resourcesOf(one).includes("*"));
    expect(everywhere.map(({ Sid }) => Sid)).toEqual(["Look", "OldTaskDefinitions"]);
    for (const { Condition } of everywhere)
      expect(Condition).toEqual({ StringEquals: { "aws:RequestedRegion": "REGION" } });
  });

  it("hand roles to containers only, and do not read what is secret", () => {
    const pass = statements.find(({ Action }) => Action.includes("iam:PassRole"));
    expect(pass?.Condition).toEqual({ StringEquals: { "iam:PassedToService": "ecs-tasks.amazonaws.com" } });
    expect(actions).not.toContain("secretsmanager:GetSecretValue");
    const objects = statements.filter(({ Action }) => Action.includes("s3:GetObject"));
    expect(objects.flatMap(resourcesOf)).toEqual(["arn:aws:s3:::STATE_BUCKET", "arn:aws:s3:::STATE_BUCKET/*"]);
  });

  it.each(documents)("fit into a managed policy, also with long names: $name", ({ Version, Statement }) => {
    const filled = JSON.stringify({ Version, Statement })
      .replaceAll("ACCOUNT", "111122223333")
      .replaceAll("REGION", "ap-southeast-2")
      .replaceAll("PREFIX", "p".repeat(20))
      .replaceAll("STATE_BUCKET", "b".repeat(63))
      .replaceAll("STATE_KEY_ARN", "k".repeat(80));
    expect(filled.length).toBeLessThanOrEqual(MAX_CHARACTERS);
    expect(Version).toBe("2012-10-17");
    const sids = Statement.map(({ Sid }) => Sid);
    expect(new Set(sids).size).toBe(sids.length);
  });
});
