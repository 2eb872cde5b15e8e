/**
 * Who may talk to whom: callers to the load balancer, the load balancer to the API, containers to the database and to
 * AWS. Every rule names its peer; only the way out to AWS, whose addresses change, is open, and for HTTPS only.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";

export type FirewallArgs = {
  readonly vpcId: pulumi.Input<string>;
  /** IPv4 networks of the API's callers. */
  readonly callers: readonly pulumi.Input<string>[];
  /** What they call: 443 with the redirect from 80, or 80 alone. */
  readonly listenerPorts: readonly number[];
  readonly apiPort: number;
  /** The group of a database that exists; null makes one. */
  readonly databaseSecurityGroupId: string | null;
  readonly databasePort: number;
  /** False where AWS is reached by endpoints in the VPC; they have rules of their own (endpoints.ts). */
  readonly opensHttpsOut: boolean;
};

type Peer = { readonly cidr: pulumi.Input<string> } | { readonly group: pulumi.Input<string> };

export class Firewall extends pulumi.ComponentResource {
  readonly loadBalancerId: pulumi.Output<string>;
  readonly apiId: pulumi.Output<string>;
  readonly workerId: pulumi.Output<string>;
  readonly databaseId: pulumi.Output<string>;
  readonly #name: string;

  constructor(name: string, args: FirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:Firewall", name, {}, opts);
    this.#name = name;
    const group = (suffix: string, description: string) =>
      new aws.ec2.SecurityGroup(`${name}-${suffix}`, { vpcId: args.vpcId, description }, { parent: this }).id;
    this.loadBalancerId = group("load-balancer", "The load balancer of the API");
    this.apiId = group("api", "Containers of the API");
    this.workerId = group("worker", "Containers of the workers");
    this.databaseId =
      args.databaseSecurityGroupId === null
        ? group("database", "The database")
        : pulumi.output(args.databaseSecurityGroupId);

    for (const [index, cidr] of args.callers.entries()) {
      for (const port of args.listenerPorts) {
        this.#admit(`callers-${index}-${port}`, this.loadBalancerId, port, { cidr });
      }
    }
    this.#connect("load-balancer-to-api", this.loadBalancerId, this.apiId, args.apiPort);
    this.#connect("api-to-database", this.apiId, this.databaseId, args.databasePort);
    this.#connect("worker-to-database", this.workerId, this.databaseId, args.databasePort);
    if (args.opensHttpsOut) {
      this.#letOut("api-to-aws", this.apiId, 443, { cidr: "0.0.0.0/0" });
      this.#letOut("worker-to-aws", this.workerId, 443, { cidr: "0.0.0.0/0" });
    }
    this.registerOutputs({ apiId: this.apiId, workerId: this.workerId, databaseId: this.databaseId });
  }

  #connect(suffix: string, from: pulumi.Input<string>, to: pulumi.Input<string>, port: number): void {
    this.#letOut(suffix, from, port, { group: to });
    this.#admit(suffix, to, port, { group: from });
  }

  #admit(suffix: string, securityGroupId: pulumi.Input<string>, port: number, from: Peer): void {
    const rule = { securityGroupId, description: suffix, ...tcp(port), ...peer(from) };
    new aws.vpc.SecurityGroupIngressRule(`${this.#name}-${suffix}`, rule, { parent: this });
  }

  #letOut(suffix: string, securityGroupId: pulumi.Input<string>, port: number, to: Peer): void {
    const rule = { securityGroupId, description: suffix, ...tcp(port), ...peer(to) };
    new aws.vpc.SecurityGroupEgressRule(`${this.#name}-${suffix}`, rule, { parent: this });
  }
}

function tcp(port: number) {
  return { ipProtocol: "tcp", fromPort: port, toPort: port };
}

function peer(one: Peer) {
  return "cidr" in one ? { cidrIpv4: one.cidr } : { referencedSecurityGroupId: one.group };
}
