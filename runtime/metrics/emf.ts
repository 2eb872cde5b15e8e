/**
 * Metrics as lines in CloudWatch's embedded metric format: CloudWatch Logs makes metrics of them as they pass, so the process needs
 * no client, no credentials and no buffer for them. Like a log, writing is synchronous and never throws.
 *
 * The format allows 100 metrics and 30 dimensions a line; METRICS has fewer of both.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */

import type { Clock } from "../clock.ts";
import { METRICS, type Metric, type MetricName } from "./names.ts";

export type Emf = {
  /**
   * Writes one line. A value that is undefined or not finite is left out, as is a list without values or with more than 100; without any, nothing is
   * written. Of a list CloudWatch makes percentiles.
   * @param queue where the metrics have the dimension `Queue`
   */
  put(values: MetricValues, queue?: string): void;
};

export type MetricValues = { readonly [Name in MetricName]?: number | readonly number[] | undefined };

export type EmfOptions = {
  readonly namespace: string;
  /** The dimension `Stack`. */
  readonly stack: string;
  /** The worker's name, for whoever searches the lines. Not a dimension: each value of one is a metric to pay for. */
  readonly worker?: string;
  readonly clock: Pick<Clock, "wallMs">;
  /** Takes each line, with its line feed; the log's own, so that lines of the two never mix. */
  readonly write: (line: string) => void;
};

/** That many values of one metric a line may have. */
export const MOST_VALUES = 100;

export function createEmf({ namespace, stack, worker, clock, write }: EmfOptions): Emf {
  return {
    put(values, queue) {
      // Keys of MetricValues, which TypeScript does not promise.
      const known = (Object.keys(values) as MetricName[]).filter((name) => isWritable(values[name]));
      if (known.length === 0) return;
      const line = {
        _aws: {
          Timestamp: Math.round(clock.wallMs()),
          CloudWatchMetrics: [
            {
              Namespace: namespace,
              Dimensions: [queue === undefined ? ["Stack"] : ["Stack", "Queue"]],
              Metrics: known.map(definitionOf),
            },
          ],
        },
        Stack: stack,
        ...(queue !== undefined && { Queue: queue }),
        ...(worker !== undefined && { worker }),
        ...Object.fromEntries(known.map((name) => [name, values[name]])),
      };
      try {
        write(`${JSON.stringify(line)}\n`);
      } catch {
        // The output is gone, and no metric is worth a task.
      }
    },
  };
}

function isWritable(value: MetricValues[MetricName]): boolean {
  if (value === undefined || typeof value === "number") return Number.isFinite(value);
  return value.length > 0 && value.length <= MOST_VALUES && value.every(Number.isFinite);
}

function definitionOf(name: MetricName): { Name: string; Unit: string; StorageResolution?: number } {
  const { unit, storageResolution }: Metric = METRICS[name];
  return { Name: name, Unit: unit, ...(storageResolution === 1 && { StorageResolution: 1 }) };
}
