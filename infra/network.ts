/**
 * Where everything runs: a VPC of our own, one that exists, or the region's default VPC. The rest of the program sees
 * subnets only. This is the one place that uses awsx: it lays out subnets, and has no defaults that are open.
 */
import * as aws from "@pulumi/aws";
import * as awsx from "@pulumi/awsx";
import * as pulumi from "@pulumi/pulumi";

export type NetworkArgs = {
  /** Null makes a VPC; `default` is the region's default VPC. */
  readonly vpcId: string | null;
  readonly publicSubnetIds: readonly string[];
  readonly privateSubnetIds: readonly string[];
  /** Empty: the private ones. */
  readonly databaseSubnetIds: readonly string[];
  /** Of the VPC that is made, /16 to /21. */
  readonly vpcCidr: string;
  /** Of the VPC that is made; empty takes two. */
  readonly availabilityZones: readonly string[];
  readonly natGateways: "none" | "single" | "one-per-az";
};

type Ids = pulumi.Output<string[]>;

export type NetworkLike = {
  readonly vpcId: pulumi.Output<string>;
  /** Its addresses. */
  cidr(): pulumi.Output<string>;
  readonly publicSubnetIds: Ids;
  /** Of the containers. */
  readonly privateSubnetIds: Ids;
  readonly databaseSubnetIds: Ids;
  /** Whether containers need an address of their own to reach AWS. */
  readonly assignPublicIp: boolean;
  /** Route tables of a VPC without a way out, which needs endpoints; null where there is one, or somebody else's care. */
  readonly closedRouteTableIds: Ids | null;
};

const NAT = { none: "None", single: "Single", "one-per-az": "OnePerAz" } as const;

export function createNetwork(name: string, args: NetworkArgs, opts: pulumi.ComponentResourceOptions): NetworkLike {
  if (args.vpcId === null) return new Network(name, args, opts);
  return args.vpcId === "default" ? defaultNetwork(opts) : givenNetwork(args.vpcId, args, opts);
}

export class Network extends pulumi.ComponentResource implements NetworkLike {
  readonly vpcId: pulumi.Output<string>;
  readonly publicSubnetIds: Ids;
  readonly privateSubnetIds: Ids;
  readonly databaseSubnetIds: Ids;
  readonly assignPublicIp = false;
  readonly closedRouteTableIds: Ids | null;
  readonly #cidr: string;

  constructor(name: string, args: NetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Network", name, {}, opts);
    this.#cidr = args.vpcCidr;
    const zones = [...args.availabilityZones];
    const mask = Number(args.vpcCidr.split("/")[1]);
    const vpc = new awsx.ec2.Vpc(
      name,
      {
        cidrBlock: args.vpcCidr,
        ...(zones.length > 0 ? { availabilityZoneNames: zones } : { numberOfAvailabilityZones: 2 }),
        // The private names of interface endpoints resolve with both only.
        enableDnsHostnames: true,
        enableDnsSupport: true,
        natGateways: { strategy: NAT[args.natGateways] },
        subnetStrategy: "Auto",
        subnetNameTagStrategy: "AvailabilityZone",
        subnetSpecs: [
          { type: "Private", name: "private", cidrMask: mask + 3 },
          { type: "Public", name: "public", cidrMask: mask + 6 },
          { type: "Isolated", name: "database", cidrMask: mask + 6 },
        ],
      },
      { parent: this },
    );
    const routeTableIds = vpc.routeTables.apply((tables) => pulumi.all(tables.map((table) => table.id)));
    // Payloads go to S3 by their own road: it costs nothing, and they would be the bulk of a NAT gateway's bill.
    new aws.ec2.VpcEndpoint(
      `${name}-s3`,
      {
        vpcId: vpc.vpcId,
        serviceName: pulumi.interpolate`com.amazonaws.${regionOf(this)}.s3`,
        vpcEndpointType: "Gateway",
        routeTableIds,
      },
      { parent: this },
    );
    this.vpcId = vpc.vpcId;
    this.publicSubnetIds = vpc.publicSubnetIds;
    this.privateSubnetIds = vpc.privateSubnetIds;
    this.databaseSubnetIds = vpc.isolatedSubnetIds;
    this.closedRouteTableIds = args.natGateways === "none" ? routeTableIds : null;
    this.registerOutputs({ vpcId: this.vpcId });
  }

  cidr(): pulumi.Output<string> {
    return pulumi.output(this.#cidr);
  }
}

function regionOf(parent: pulumi.Resource): pulumi.Output<string> {
  return aws.getRegionOutput({}, { parent }).id;
}

function givenNetwork(vpcId: string, args: NetworkArgs, opts: pulumi.InvokeOptions): NetworkLike {
  const { publicSubnetIds, privateSubnetIds, databaseSubnetIds } = args;
  return {
    vpcId: pulumi.output(vpcId),
    // Asked only where it is needed: the deployer may not be allowed to look.
    cidr: () => aws.ec2.getVpcOutput({ id: vpcId }, opts).cidrBlock,
    publicSubnetIds: pulumi.output([...publicSubnetIds]),
    privateSubnetIds: pulumi.output([...privateSubnetIds]),
    databaseSubnetIds: pulumi.output([...(databaseSubnetIds.length > 0 ? databaseSubnetIds : privateSubnetIds)]),
    assignPublicIp: false,
    closedRouteTableIds: null,
  };
}

/** All its subnets are public, so containers reach AWS with an address of their own. Nobody reaches them by it. */
function defaultNetwork(opts: pulumi.InvokeOptions): NetworkLike {
  const vpc = aws.ec2.getVpcOutput({ default: true }, opts);
  const subnets = aws.ec2.getSubnetsOutput({ filters: [{ name: "vpc-id", values: [vpc.id] }] }, opts);
  // In a fixed order: another one would be a change of whatever is in them.
  const ids = subnets.ids.apply((unordered) => unordered.toSorted());
  return {
    vpcId: vpc.id,
    cidr: () => vpc.cidrBlock,
    publicSubnetIds: ids,
    privateSubnetIds: ids,
    databaseSubnetIds: ids,
    assignPublicIp: true,
    closedRouteTableIds: null,
  };
}
