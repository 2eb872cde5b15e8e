/** When spans are collected, by the names that OpenTelemetry gives its variables. */
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../runtime/config.ts";

const MINIMAL = {
  DATABASE_URL: "postgres://u:p@localhost:5432/taskiq",
  TASKIQ_QUEUES: JSON.stringify([{ name: "default", url: "http://h/0/a", deadLetterUrl: "http://h/0/b" }]),
  TASKIQ_S3_BUCKET: "payloads",
};
const ENDPOINT = "http://collector:4318";

function tracing(env: Record<string, string>) {
  const config = loadConfig({ ...MINIMAL, ...env });
  if (config.role === "migrate") throw new Error("expected a role other than migrate");
  return config.tracing;
}

describe("spans are not collected", () => {
  test.each<[string, Record<string, string>]>([
    ["unless something asks for it", {}],
    ["where the SDK is disabled", { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_SDK_DISABLED: "True" }],
    ["where the exporter is none", { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_TRACES_EXPORTER: "none" }],
    ["by an exporter that is unknown here", { OTEL_TRACES_EXPORTER: "zipkin" }],
    ["for a name or a sampler alone", { OTEL_SERVICE_NAME: "x", OTEL_TRACES_SAMPLER: "always_on" }],
  ])("%s", (_when, env) => {
    expect(tracing(env)).toBeNull();
  });
});

describe("spans are collected", () => {
  const USUAL = { serviceName: null, sampler: "parentbased_always_on", samplerRatio: 1 };

  test.each<[string, Record<string, string>, string | null]>([
    ["at the endpoint, to which the path is added", { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT }, `${ENDPOINT}/v1/traces`],
    ["whatever slash it ends with", { OTEL_EXPORTER_OTLP_ENDPOINT: `${ENDPOINT}/x/` }, `${ENDPOINT}/x/v1/traces`],
    ["at that of traces, as it is", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${ENDPOINT}/t` }, `${ENDPOINT}/t`],
    [
      "at that of traces where there are both",
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${ENDPOINT}/t`, OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT },
      `${ENDPOINT}/t`,
    ],
    ["at the exporter's own default", { OTEL_TRACES_EXPORTER: "otlp" }, null],
    ["by the one of several that is known here", { OTEL_TRACES_EXPORTER: "zipkin, otlp" }, null],
  ])("%s", (_where, env, url) => {
    expect(tracing(env)).toEqual({ ...USUAL, exporter: "otlp", url });
  });

  test("on standard output, with a name and a share", () => {
    const env = {
      OTEL_TRACES_EXPORTER: "console",
      OTEL_SERVICE_NAME: "orders",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
    };
    const expected = {
      exporter: "console",
      url: null,
      serviceName: "orders",
      sampler: "traceidratio",
      samplerRatio: 0.25,
    };
    expect(tracing(env)).toEqual(expected);
  });

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" }, /^OTEL_EXPORTER_OTLP_ENDPOINT: expected an http or https URL/],
    [{ OTEL_TRACES_SAMPLER_ARG: "1.5" }, /^OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1/],
    [{ OTEL_TRACES_SAMPLER_ARG: "half" }, /^OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1/],
  ])("unless %j, which is refused in words", (env, message) => {
    expect(() => tracing(env)).toThrow(message);
  });
});
