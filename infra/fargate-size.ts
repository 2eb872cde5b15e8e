/** The sizes of tasks that Fargate has: it refuses any other, but only after half of the stack was made. */

/** Memory that Fargate has for so many CPU units, in MiB: from, to, in steps of. */
const FARGATE: Readonly<Record<number, readonly [number, number, number]>> = {
  512: [1_024, 4_096, 1_024],
  1024: [2_048, 8_192, 1_024],
  2048: [4_096, 16_384, 1_024],
  4096: [8_192, 30_720, 1_024],
  8192: [16_384, 61_440, 4_096],
  16384: [32_768, 122_880, 8_192],
};
export const CPUS = [256, ...Object.keys(FARGATE).map(Number)];

export function fargateFits(cpu: number, memory: number): boolean {
  if (cpu === 256) return [512, 1_024, 2_048].includes(memory);
  const [from, to, step] = FARGATE[cpu] ?? [1, 0, 1];
  return memory >= from && memory <= to && (memory - from) % step === 0;
}

export function fargateMemory(cpu: number): string {
  if (cpu === 256) return "512, 1024 or 2048, which is what Fargate has for 256 CPU units";
  const [from, to, step] = FARGATE[cpu] ?? [0, 0, 0];
  return `${from} to ${to} in steps of ${step}, which is what Fargate has for ${cpu} CPU units`;
}
