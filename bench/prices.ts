/**
 * What AWS asks, in one place. List prices without free tiers, volume discounts, Savings Plans or tax. AWS changes them
 * without notice: compare with the pricing page named here before a decision hangs on one.
 */

export const PRICE_REGION = "us-east-1";
/** When the sources were read; the newest of them is from June 2026. */
export const PRICE_DATE = "2026-11-21";

export type Price = {
  /** US dollars a unit. */
  readonly usd: number;
  readonly unit: string;
  /** AWS's pricing page, and who quoted it when. */
  readonly source: string;
};

const FARGATE = "AWS Fargate pricing, quoted by vantage.sh and fortem.dev (2026)";
const SQS = "Amazon SQS pricing, quoted by cloudburn.io (March 2026) and factualminds.com (June 2026)";
const VPC = "Amazon VPC pricing, quoted by cloudburn.io (February 2026) and zacfukuda.com (June 2026)";
const RDS = "Amazon RDS for PostgreSQL pricing, quoted by infratally.com (2026)";
const RDS_STORAGE = "Amazon RDS pricing, quoted by usage.ai (June 2026)";
const CLOUDWATCH = "Amazon CloudWatch pricing, quoted by cloudburn.io (February 2026) and factualminds.com (June 2026)";
const ELB = "Elastic Load Balancing pricing, quoted by cloudzero.com";

export const PRICES = {
  fargateArmCpu: { usd: 0.03238, unit: "vCPU-hour", source: FARGATE },
  fargateArmMemory: { usd: 0.00356, unit: "GB-hour", source: FARGATE },
  fargateX86Cpu: { usd: 0.04048, unit: "vCPU-hour", source: FARGATE },
  fargateX86Memory: { usd: 0.004445, unit: "GB-hour", source: FARGATE },

  sqsStandard: { usd: 0.4, unit: "million requests, each up to 64 KiB", source: SQS },

  loadBalancer: { usd: 0.0225, unit: "hour", source: ELB },
  loadBalancerCapacity: { usd: 0.008, unit: "LCU-hour (1 GB, 25 new connections a second, …)", source: ELB },

  natGateway: { usd: 0.045, unit: "hour", source: VPC },
  natData: { usd: 0.045, unit: "GB", source: VPC },
  endpoint: { usd: 0.01, unit: "hour in a zone", source: VPC },
  endpointData: { usd: 0.01, unit: "GB", source: VPC },
  publicAddress: { usd: 0.005, unit: "hour", source: VPC },
  otherZone: {
    usd: 0.01,
    unit: "GB, in each direction",
    source: "Amazon EC2 data transfer pricing, quoted by basavytix.com (2026)",
  },

  databaseT4gMicro: { usd: 0.016, unit: "hour", source: RDS },
  databaseT4gSmall: { usd: 0.032, unit: "hour", source: RDS },
  databaseT4gMedium: { usd: 0.065, unit: "hour", source: RDS },
  databaseR8gLarge: { usd: 0.239, unit: "hour", source: "half of db.r8g.xlarge, quoted by usage.ai (April 2026)" },
  databaseStorage: { usd: 0.115, unit: "GB-month of gp3", source: RDS_STORAGE },

  secret: {
    usd: 0.4,
    unit: "secret and month",
    source: "AWS Secrets Manager pricing, quoted by hivebook.wiki (2026)",
  },
  registryStorage: { usd: 0.1, unit: "GB-month", source: "Amazon ECR pricing, quoted by cloudburn.io (March 2026)" },
  bucketPut: { usd: 5, unit: "million requests", source: "Amazon S3 pricing, quoted by devnotes.tech" },
  bucketGet: { usd: 0.4, unit: "million requests", source: "Amazon S3 pricing, quoted by devnotes.tech" },

  metric: { usd: 0.3, unit: "custom metric and month", source: CLOUDWATCH },
  alarmMetric: { usd: 0.1, unit: "metric of an alarm and month", source: CLOUDWATCH },
  dashboard: { usd: 3, unit: "dashboard and month", source: CLOUDWATCH },
  logIngestion: { usd: 0.5, unit: "GB", source: CLOUDWATCH },
} as const satisfies Record<string, Price>;

/** Of an RDS instance class with one instance. Throws where the list lacks it. */
export function databasePrice(instanceClass: string): Price {
  const price = DATABASES[instanceClass];
  if (price === undefined) {
    throw new Error(
      `expected a class of ${Object.keys(DATABASES).join(", ")}, got "${instanceClass}". Add its price to bench/prices.ts.`,
    );
  }
  return price;
}

const DATABASES: Readonly<Record<string, Price>> = {
  "db.t4g.micro": PRICES.databaseT4gMicro,
  "db.t4g.small": PRICES.databaseT4gSmall,
  "db.t4g.medium": PRICES.databaseT4gMedium,
  "db.r8g.large": PRICES.databaseR8gLarge,
};
