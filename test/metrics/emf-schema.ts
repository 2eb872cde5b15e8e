/**
 * AWS's JSON schema of the embedded metric format, as the specification has it, and the rules in words around it.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
import { z } from "zod";
import { inWords, issuesOf } from "../../runtime/issues.ts";

/** Those of PutMetricData, https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html */
const SIZES = ["Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"];
const BITS = ["Bits", "Kilobits", "Megabits", "Gigabits", "Terabits"];
const UNITS = [
  ...["Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"],
  ...[...SIZES, ...BITS].flatMap((size) => [size, `${size}/Second`]),
];

const DIMENSION_SET = z.array(z.string().min(1).max(250)).max(30);
const METRIC_DEFINITION = z.object({
  Name: z.string().min(1).max(1_024),
  Unit: z.enum(UNITS).optional(),
  StorageResolution: z.union([z.literal(1), z.literal(60)]).optional(),
});
const METRIC_DIRECTIVE = z.object({
  Namespace: z.string().min(1).max(1_024),
  Dimensions: z.array(DIMENSION_SET).min(1),
  Metrics: z.array(METRIC_DEFINITION).min(1).max(100),
});
const ROOT = z.looseObject({
  _aws: z.object({ Timestamp: z.int().min(0), CloudWatchMetrics: z.array(METRIC_DIRECTIVE).min(1) }),
});
const NUMBER = z.number();
const VALUE = NUMBER.or(z.array(NUMBER).min(1).max(100));
const DIMENSION_VALUE = z.string().min(1).max(1_024);

/** What keeps CloudWatch from reading this line; none where all is well. */
export function emfProblems(line: unknown): string[] {
  const read = ROOT.safeParse(line);
  if (!read.success) return [inWords(issuesOf(read.error, []))];
  return read.data._aws.CloudWatchMetrics.flatMap(({ Dimensions: dimensions, Metrics: metrics }) => [
    ...dimensions
      .flat()
      .filter((name) => !DIMENSION_VALUE.safeParse(read.data[name]).success)
      .map((name) => `${name}: expected the value of a dimension, got ${JSON.stringify(read.data[name])}`),
    ...metrics
      .filter(({ Name: name }) => !VALUE.safeParse(read.data[name]).success)
      .map(({ Name: name }) => `${name}: expected a number or up to 100, got ${JSON.stringify(read.data[name])}`),
  ]);
}
