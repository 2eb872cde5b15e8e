/** Which keys the payload bucket takes. Apart from the bucket, because the configuration is held against them before anything of AWS is loaded. */

/** Where the runtime keeps inputs and results: `v1/<date>/<task id>/<sha256>`. */
export const PAYLOAD_PREFIX = "v1/";
/** Where results for foreign TaskIQ producers go: their `S3Backend` has this as its `base_path`. */
export const RESULT_PREFIX = "results/";
/** How the key of a message ends that was too large for SQS: taskiq-aio-sqs writes `<task id>.json` at the root of the bucket. */
export const EXTENDED_SUFFIX = ".json";
