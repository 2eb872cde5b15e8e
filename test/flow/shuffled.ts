/** Another order for every seed, and the same for the same seed, so that a failure comes again. */
export function shuffled<T>(items: readonly T[], seed: number): T[] {
  return items
    .map((item, index) => ({ item, at: (Math.imul(index + 1, 2_654_435_761) ^ Math.imul(seed + 1, 40_503_977)) >>> 0 }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
