/** Everything an account has of what the stack is made of, by asking each service. Two lists tell what a removal left. */
import { ask, json, query } from "./emulated-aws.ts";

type Source = { readonly kind: string; list(): Promise<readonly string[]> };

/** The texts inside an XML element, wherever it stands. */
function xml(text: string, element: string): string[] {
  return [...text.matchAll(new RegExp(`<${element}>([^<]+)</${element}>`, "g"))].map((match) => match[1] ?? "");
}

function form(kind: string, service: string, version: string, action: string, element: string): Source {
  return { kind, list: async () => xml(await query(service, version, action), element) };
}

function listed(
  kind: string,
  service: string,
  target: string,
  pick: (answer: Record<string, unknown>) => unknown,
  input: object = {},
): Source {
  return {
    kind,
    async list() {
      const found = pick(await json(service, target, input)) ?? [];
      return Array.isArray(found) ? found.map(String) : [];
    },
  };
}

/** The values of one field in a list of objects. */
function field(list: string, name: string): (answer: Record<string, unknown>) => unknown {
  return (answer) => {
    const items = answer[list];
    // Which objects are in which list is each service's own contract.
    return Array.isArray(items) ? items.map((item: Record<string, unknown>) => item[name]) : [];
  };
}

const ECS = "AmazonEC2ContainerServiceV20141113";

const SOURCES: readonly Source[] = [
  listed("queue", "sqs", "AmazonSQS.ListQueues", (answer) => answer.QueueUrls),
  { kind: "bucket", list: async () => xml(await ask({ service: "s3", method: "GET", headers: {} }), "Name") },
  listed("secret", "secretsmanager", "secretsmanager.ListSecrets", field("SecretList", "ARN")),
  listed("cluster", "ecs", `${ECS}.ListClusters`, (answer) => answer.clusterArns),
  listed("task definition", "ecs", `${ECS}.ListTaskDefinitions`, (answer) => answer.taskDefinitionArns, {
    status: "ACTIVE",
  }),
  form("database", "rds", "2014-10-31", "DescribeDBInstances", "DBInstanceIdentifier"),
  form("database subnet group", "rds", "2014-10-31", "DescribeDBSubnetGroups", "DBSubnetGroupName"),
  form("database parameter group", "rds", "2014-10-31", "DescribeDBParameterGroups", "DBParameterGroupName"),
  form("load balancer", "elasticloadbalancing", "2015-12-01", "DescribeLoadBalancers", "LoadBalancerArn"),
  form("target group", "elasticloadbalancing", "2015-12-01", "DescribeTargetGroups", "TargetGroupArn"),
  form("role", "iam", "2010-05-08", "ListRoles", "Arn"),
  form("security group", "ec2", "2016-11-15", "DescribeSecurityGroups", "groupId"),
  form("VPC endpoint", "ec2", "2016-11-15", "DescribeVpcEndpoints", "vpcEndpointId"),
  form("alarm", "monitoring", "2010-08-01", "DescribeAlarms", "AlarmName"),
  form("dashboard", "monitoring", "2010-08-01", "ListDashboards", "DashboardName"),
  listed("log group", "logs", "Logs_20140328.DescribeLogGroups", field("logGroups", "logGroupName")),
  listed(
    "repository",
    "ecr",
    "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories",
    field("repositories", "repositoryArn"),
  ),
];

/** One line for each resource, sorted. */
export async function inventory(): Promise<readonly string[]> {
  const lists = await Promise.all(
    SOURCES.map(async ({ kind, list }) => [...new Set(await list())].map((name) => `${kind} ${name}`)),
  );
  return lists.flat().sort();
}
