/** The services of AWS as addresses in a VPC that has no way out, for the containers alone. */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export type EndpointsArgs = {
  readonly vpcId: pulumi.Input<string>;
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly region: pulumi.Input<string>;
  /** Security groups that may use them, by name. */
  readonly clients: Readonly<Record<string, pulumi.Input<string>>>;
};

/** What containers call: their image, queues, credentials, logs and, for the builtin scaler, ECS. */
const SERVICES = ["ecr.api", "ecr.dkr", "ecs", "logs", "secretsmanager", "sqs"];

export class Endpoints extends pulumi.ComponentResource {
  constructor(name: string, args: EndpointsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Endpoints", name, {}, opts);
    const child = { parent: this };
    const { vpcId, region } = args;
    const group = new aws.ec2.SecurityGroup(name, { vpcId, description: "Endpoints of AWS services" }, child);
    // The layers of images come from S3, which has an endpoint in the route tables; its addresses are this list.
    const s3 = aws.ec2.getPrefixListOutput({ name: pulumi.interpolate`com.amazonaws.${region}.s3` }, child);
    const https = { ipProtocol: "tcp", fromPort: 443, toPort: 443 };
    for (const [client, securityGroupId] of Object.entries(args.clients)) {
      new aws.vpc.SecurityGroupIngressRule(
        `${name}-from-${client}`,
        {
          securityGroupId: group.id,
          description: `from ${client}`,
          ...https,
          referencedSecurityGroupId: securityGroupId,
        },
        child,
      );
      new aws.vpc.SecurityGroupEgressRule(
        `${name}-${client}`,
        { securityGroupId, description: "to endpoints", ...https, referencedSecurityGroupId: group.id },
        child,
      );
      new aws.vpc.SecurityGroupEgressRule(
        `${name}-${client}-s3`,
        { securityGroupId, description: "to S3", ...https, prefixListId: s3.id },
        child,
      );
    }
    for (const service of SERVICES) {
      new aws.ec2.VpcEndpoint(
        `${name}-${service}`,
        {
          vpcId,
          serviceName: pulumi.interpolate`com.amazonaws.${region}.${service}`,
          vpcEndpointType: "Interface",
          privateDnsEnabled: true,
          subnetIds: args.subnetIds,
          securityGroupIds: [group.id],
        },
        child,
      );
    }
    this.registerOutputs({});
  }
}
