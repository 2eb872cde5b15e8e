/** What an RDS instance class has, as far as alarms need it: AWS publishes what is left of it, not how much there is. */

/** GiB by size, for the families of which every size has as much for each vCPU. */
const SIZES: Record<string, number> = { large: 2, xlarge: 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32 };
const LARGER: Record<string, number> = { "12xlarge": 48, "16xlarge": 64, "24xlarge": 96, "32xlarge": 128 };
const GIB_PER_VCPU: Record<string, number> = { c: 2, m: 4, r: 8 };
const BURSTABLE_GIB: Record<string, number> = { micro: 1, small: 2, medium: 4, large: 8, xlarge: 16, "2xlarge": 32 };
/** CPU credits that a t3 or t4g earns in a day, which is also the most it can keep. */
const CREDITS: Record<string, number> = {
  micro: 288,
  small: 576,
  medium: 576,
  large: 864,
  xlarge: 2304,
  "2xlarge": 4608,
};

const GIB = 1_073_741_824;

/** Memory of a class such as `db.m7g.large`, or null where it is not known. */
export function memoryBytes(instanceClass: string): number | null {
  const { family, size } = parts(instanceClass);
  const gib = /^t[34]/.test(family)
    ? BURSTABLE_GIB[size]
    : (GIB_PER_VCPU[family.charAt(0)] ?? Number.NaN) * (SIZES[size] ?? LARGER[size] ?? Number.NaN);
  return gib === undefined || Number.isNaN(gib) ? null : gib * GIB;
}

/**
 * The connections that RDS admits, by its default `LEAST(DBInstanceClassMemory / 9531392, 5000)`, or null where it is
 * not known. The share of the system and of RDS itself, about a fifth, does not count as memory there.
 */
export function maxConnections(instanceClass: string): number | null {
  const bytes = memoryBytes(instanceClass);
  return bytes === null ? null : Math.min(Math.floor((bytes * 0.8) / 9_531_392), 5_000);
}

/** The most CPU credits that a burstable class can have, or null for the others. */
export function maxCredits(instanceClass: string): number | null {
  const { family, size } = parts(instanceClass);
  return /^t[34]/.test(family) ? (CREDITS[size] ?? null) : null;
}

function parts(instanceClass: string): { family: string; size: string } {
  const [, family = "", size = ""] = /^db\.([a-z0-9]+)\.([a-z0-9]+)$/.exec(instanceClass) ?? [];
  return { family, size };
}
