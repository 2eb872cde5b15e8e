/** How long things took, as counts of buckets: they can be added up, which percentiles cannot. */

/** Counts by bucket; bucket `i` holds durations from `1.2^i - 1` to `1.2^(i+1) - 1` milliseconds, as read-completions.sql makes them. */
export type Histogram = ReadonlyMap<number, number>;

const BASE = 1.2;

export function addUp(histograms: Iterable<Histogram>): Histogram {
  const sum = new Map<number, number>();
  for (const histogram of histograms) {
    for (const [bucket, count] of histogram) sum.set(bucket, (sum.get(bucket) ?? 0) + count);
  }
  return sum;
}

/**
 * The duration that a share of all stays below, in milliseconds, as if durations were spread evenly over their bucket: at most a sixth too long or
 * too short. Null: nothing was counted.
 * @param share from 0 to 1, such as 0.95
 */
export function percentile(histogram: Histogram, share: number): number | null {
  const buckets = [...histogram].sort(([a], [b]) => a - b);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  let below = 0;
  for (const [bucket, count] of buckets) {
    if (below + count >= share * total) {
      const [least, most] = [BASE ** bucket - 1, BASE ** (bucket + 1) - 1];
      return least + ((share * total - below) / count) * (most - least);
    }
    below += count;
  }
  return null;
}

/** The duration in the middle of a bucket, in milliseconds: what its durations are taken for, at most a tenth too long or too short above 2 ms. */
export function middleOf(bucket: number): number {
  return (BASE ** bucket + BASE ** (bucket + 1)) / 2 - 1;
}
