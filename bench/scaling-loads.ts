/** The six loads a scaling policy is judged by, on workers of five slots. */

import type { Load } from "./scaling-simulator.ts";

const MINUTE = 60;
const HOUR = 3_600;

const within = (second: number, from: number, to: number) => second >= from && second < to;

/** Twenty times the load for an hour: by Little's law 8 workers, about 9 task-hours with the quiet hour. */
export const STEP: Load = {
  name: "step 1→20/s for 1 h",
  seconds: 2 * HOUR,
  taskSeconds: 2,
  rate: (second) => (within(second, 10 * MINUTE, 70 * MINUTE) ? 20 : 1),
};

export const BURST: Load = {
  name: "burst of 2,000",
  seconds: 2 * HOUR,
  taskSeconds: 2,
  rate: () => 1,
  burst: { second: 10 * MINUTE, tasks: 2_000 },
};

export const RAMP: Load = {
  name: "ramp 1→20→1/s in 2 h",
  seconds: 2 * HOUR,
  taskSeconds: 2,
  rate: (second) => 1 + 19 * (1 - Math.abs(second - HOUR) / HOUR),
};

/** As fast as the cooldowns: the load that makes a naive policy swing. */
export const SAWTOOTH: Load = {
  name: "sawtooth 1→20/s, 300 s",
  seconds: 2 * HOUR,
  taskSeconds: 2,
  rate: (second) => 1 + (19 * (second % 300)) / 300,
};

/** By Little's law 8.4 workers while it is up. */
export const LONG: Load = {
  name: "60 s tasks, 0.1→0.7/s for 1 h",
  seconds: 3 * HOUR,
  taskSeconds: 60,
  rate: (second) => (within(second, 10 * MINUTE, 70 * MINUTE) ? 0.7 : 0.1),
};

/** Five minutes in which nothing gets on and nobody reports, at a load of four workers. */
export const OUTAGE: Load = {
  name: "outage of 5 min at 10/s",
  seconds: 2 * HOUR,
  taskSeconds: 2,
  rate: () => 10,
  outage: (second) => within(second, 30 * MINUTE, 35 * MINUTE),
};

export const LOADS: readonly Load[] = [STEP, BURST, RAMP, SAWTOOTH, LONG, OUTAGE];
