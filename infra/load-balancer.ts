/**
 * The door to the API: HTTPS with a certificate, plain HTTP without one. Who may knock is the firewall's matter, who may
 * come in the API's own, which asks for keys. The load balancer is inside the VPC unless the stack says otherwise.
 */
import * as aws from "@pulumi/aws";
import * as pulumi from "@pulumi/pulumi";
import { API_PORT } from "./environment.ts";

export type LoadBalancerArgs = {
  /** Up to 32 characters. */
  readonly loadBalancerName: string;
  readonly isPublic: boolean;
  readonly vpcId: pulumi.Input<string>;
  /** Of two zones or more. */
  readonly subnetIds: pulumi.Input<pulumi.Input<string>[]>;
  readonly securityGroupId: pulumi.Input<string>;
  /** Null serves plain HTTP. */
  readonly certificateArn: string | null;
  /** The name in the certificate; null is the load balancer's own. */
  readonly hostname: string | null;
  /** Null writes no access logs. */
  readonly accessLogsBucket: string | null;
  readonly deletionProtection: boolean;
};

/** TLS 1.3 and 1.2, with forward secrecy only. */
const TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06";
/** Node keeps idle connections 65 s (runtime/api/server.ts): the load balancer has to be the one that closes them. */
const IDLE_SECONDS = 60;
/** Callers may wait a minute for their task; the old containers answer them before they go. */
const DEREGISTRATION_SECONDS = 60;

export class LoadBalancer extends pulumi.ComponentResource {
  readonly url: pulumi.Output<string>;
  readonly dnsName: pulumi.Output<string>;
  readonly loadBalancerName: pulumi.Output<string>;
  readonly arnSuffix: pulumi.Output<string>;
  readonly targetGroupArnSuffix: pulumi.Output<string>;
  /** Known once requests would reach what registers in it: ECS refuses a target group without a listener. */
  readonly targetGroupArn: pulumi.Output<string>;

  /** Ports that callers use. */
  static ports(certificateArn: string | null): readonly number[] {
    return certificateArn === null ? [80] : [443, 80];
  }

  constructor(name: string, args: LoadBalancerArgs, opts?: pulumi.ComponentResourceOptions) {
    super("taskiq-aws:infra:LoadBalancer", name, {}, opts);
    const child = { parent: this };
    const { certificateArn, accessLogsBucket } = args;
    const balancer = new aws.lb.LoadBalancer(
      name,
      {
        name: args.loadBalancerName,
        loadBalancerType: "application",
        internal: !args.isPublic,
        subnets: args.subnetIds,
        securityGroups: [args.securityGroupId],
        idleTimeout: IDLE_SECONDS,
        dropInvalidHeaderFields: true,
        desyncMitigationMode: "strictest",
        enableDeletionProtection: args.deletionProtection,
        ...(accessLogsBucket !== null && {
          accessLogs: { bucket: accessLogsBucket, prefix: args.loadBalancerName, enabled: true },
        }),
      },
      { parent: this, protect: args.deletionProtection },
    );
    const targets = new aws.lb.TargetGroup(
      name,
      {
        vpcId: args.vpcId,
        targetType: "ip",
        protocol: "HTTP",
        port: API_PORT,
        deregistrationDelay: DEREGISTRATION_SECONDS,
        healthCheck: {
          path: "/readyz",
          matcher: "200",
          interval: 10,
          timeout: 5,
          healthyThreshold: 2,
          unhealthyThreshold: 3,
        },
      },
      child,
    );
    const forward = [{ type: "forward", targetGroupArn: targets.arn }];
    const redirect = [{ type: "redirect", redirect: { protocol: "HTTPS", port: "443", statusCode: "HTTP_301" } }];
    const listen = (port: number, args: Omit<aws.lb.ListenerArgs, "loadBalancerArn">) =>
      new aws.lb.Listener(`${name}-${port}`, { loadBalancerArn: balancer.arn, port, ...args }, child);
    const listeners =
      certificateArn === null
        ? [listen(80, { protocol: "HTTP", defaultActions: forward })]
        : [
            listen(443, { protocol: "HTTPS", sslPolicy: TLS_POLICY, certificateArn, defaultActions: forward }),
            listen(80, { protocol: "HTTP", defaultActions: redirect }),
          ];
    this.dnsName = balancer.dnsName;
    this.loadBalancerName = balancer.name;
    this.arnSuffix = balancer.arnSuffix;
    this.targetGroupArnSuffix = targets.arnSuffix;
    this.targetGroupArn = pulumi.all([targets.arn, ...listeners.map((one) => one.arn)]).apply(([arn]) => arn!);
    this.url = pulumi.interpolate`${certificateArn === null ? "http" : "https"}://${args.hostname ?? balancer.dnsName}`;
    this.registerOutputs({ url: this.url });
  }
}
