/** What a process holds while it works: read often enough to see a peak, seldom enough not to be one. */

/** Resident megabytes: at the start, by quarters of the time, the most, and when it was over. */
export type Memory = {
  readonly before: number;
  readonly quarters: readonly number[];
  readonly most: number;
  readonly after: number;
};

const EVERY_MS = 100;
const MEGABYTE = 1_048_576;

export function sampleMemory(): { stop(): Memory } {
  const samples = [process.memoryUsage.rss()];
  const timer = setInterval(() => void samples.push(process.memoryUsage.rss()), EVERY_MS).unref();
  return {
    stop() {
      clearInterval(timer);
      samples.push(process.memoryUsage.rss());
      const megabytes = samples.map((bytes) => bytes / MEGABYTE);
      const quarters = [1, 2, 3, 4].map((quarter) => megabytes[Math.ceil((megabytes.length * quarter) / 4) - 1] ?? 0);
      return { before: megabytes[0] ?? 0, quarters, most: Math.max(...megabytes), after: megabytes.at(-1) ?? 0 };
    },
  };
}
