/** How much of a processor some work takes: what else the machine does is left out, unlike in the time on the clock. */

export function processorMs(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
