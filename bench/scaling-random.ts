/** Random numbers from a seed, so that a run of the simulator can be repeated and two policies meet the same load. */

export type RandomSource = {
  /** From 0 to below 1. */
  readonly next: () => number;
  readonly poisson: (mean: number) => number;
  /** With this mean, not with this median. */
  readonly lognormal: (mean: number, sigma: number) => number;
};

/** mulberry32 (public domain): 32 bits of state are enough for some hundred thousand draws a run. */
export function randomSource(seed: number): RandomSource {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    // Knuth's product of uniforms; its cost is the mean, which is some dozens at most here.
    poisson(mean) {
      const limit = Math.exp(-mean);
      let count = 0;
      for (let product = next(); product > limit; product *= next()) count++;
      return count;
    },
    // Box and Muller; 1 - next() is never 0, whose logarithm there is none of.
    lognormal(mean, sigma) {
      const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
      return mean * Math.exp(sigma * normal - sigma ** 2 / 2);
    },
  };
}
