/** The recorded vectors of test/golden, typed as far as the tests read them. */
import { readFileSync } from "node:fs";

type AwsCall = { api: string; params: Record<string, unknown> };

export type WireMessages = Record<
  "args" | "kwargs" | "labels" | "naming",
  { name: string; labels?: string; body?: string; error?: string }[]
> & {
  retries: { name: string; bodies: string[]; stored_results: string[] }[];
  requeue: { step?: number; body?: string; stored_results?: string[] }[];
};
export type Accept = {
  messages: {
    name: string;
    body?: string;
    body_base64?: string;
    executed: boolean;
    acked: boolean;
    raised?: string;
    python_labels?: string;
    result?: string;
    result_write_error?: string;
  }[];
  results: {
    name: string;
    body: string;
    refused?: string;
    is_err?: boolean;
    return_value?: unknown;
    error?: { class: string };
  }[];
};
export type SqsCalls = {
  scenarios: { name: string; sends: { calls?: AwsCall[] }[]; calls_after?: AwsCall[] }[];
  receive: { name: string; payload?: string }[];
};
export type Results = { results: { name: string; body?: string; stored?: boolean; labels?: string }[] };

export function golden(file: "wire-messages.json"): WireMessages;
export function golden(file: "accept.json"): Accept;
export function golden(file: "sqs-calls.json"): SqsCalls;
export function golden(file: "results.json"): Results;
export function golden(file: string): unknown {
  return JSON.parse(readFileSync(new URL(`../golden/${file}`, import.meta.url), "utf8"));
}

/** All message bodies in wire-messages.json, each with a name that finds it. */
export function wireBodies(): [name: string, body: string][] {
  const recorded = golden("wire-messages.json");
  const single = (["args", "kwargs", "labels", "naming"] as const).flatMap((group) =>
    recorded[group].map(({ name, body }) => [`${group}: ${name}`, body] as const),
  );
  const retried = recorded.retries.flatMap(({ name, bodies }) =>
    bodies.map((body, index) => [`retries: ${name} #${index}`, body] as const),
  );
  const requeued = recorded.requeue.map(({ step, body }) => [`requeue: step ${step}`, body] as const);
  return [...single, ...retried, ...requeued].flatMap(([name, body]) =>
    body === undefined ? [] : [[name, body] as [string, string]],
  );
}

/** Every message sent in sqs-calls.json whose body was recorded whole, with its message attributes. */
export function sentMessages(): { name: string; body: string; attributes: Record<string, string> }[] {
  return golden("sqs-calls.json").scenarios.flatMap(({ name, sends, calls_after: after = [] }) =>
    [...sends.flatMap((send) => send.calls ?? []), ...after].flatMap(sentIn).map((message) => ({ name, ...message })),
  );
}

function sentIn({ api, params }: AwsCall): { body: string; attributes: Record<string, string> }[] {
  // The recorder wrote the parameters of the API as they were: these are the shapes of SendMessage and its batch.
  const entries = api === "sqs:SendMessageBatch" ? (params.Entries as Record<string, unknown>[]) : [params];
  if (!api.startsWith("sqs:SendMessage")) return [];
  return entries.flatMap((entry) => {
    const body = entry.MessageBody;
    if (typeof body !== "string") return [];
    const attributes = (entry.MessageAttributes ?? {}) as Record<string, { StringValue: string }>;
    return [{ body, attributes: Object.fromEntries(Object.entries(attributes).map(([k, v]) => [k, v.StringValue])) }];
  });
}
