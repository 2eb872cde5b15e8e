/**
 * An SDK client for SQS with a short way through it. The SDK resolves more than a dozen middlewares for every request
 * (endpoint rules, auth schemes, user agent, log filters, each with a copy of the configuration), which is most of what
 * a bare receive-and-delete loop spends. The short way takes the parts that matter from the same client, its codec and
 * its signer with its credentials and clock offset, and calls them in a row: 106 → 51 µs of CPU for a message received
 * and deleted in tens. Whatever goes wrong there goes the SDK's own way, with its retries, clock correction and
 * throttling.
 */
import { type $Command, type ServiceInputTypes, type ServiceOutputTypes, SQSClient } from "@aws-sdk/client-sqs";
import type { Clock } from "../clock.ts";
import { createSigningHash } from "./signing-hash.ts";
import { createSqsHttp, type HttpRequest, type HttpResponse } from "./sqs-http.ts";

export type AwsCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

export type SqsClientOptions = {
  readonly region: string;
  /** Where requests go, for example `http://localhost:4566`; by default the host of the queue's URL. */
  readonly endpoint?: string;
  /** By default the SDK's chain: environment, profile, container or instance role. */
  readonly credentials?: AwsCredentials;
  /** How often a request is tried, the first time included. */
  readonly maxAttempts: number;
  readonly timeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly maxSockets: number;
  readonly clock: Clock;
};

type SqsCommand<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  SQSClient["config"],
  ServiceInputTypes,
  ServiceOutputTypes
>;

export type SqsClient = {
  readonly requests: number;
  /** Throws what the SDK throws. `timeoutMs` is for one try and defaults to the client's. */
  call<Input extends ServiceInputTypes & { QueueUrl: string | undefined }, Output extends ServiceOutputTypes>(
    command: SqsCommand<Input, Output>,
    timeoutMs?: number,
  ): Promise<Output>;
  close(): void;
};

const SILENT = { trace: () => {}, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Up to this long, at random, before the SDK's own way is tried. */
const MAX_PAUSE_MS = 100;

export function openSqsClient(options: SqsClientOptions): SqsClient {
  const { region, endpoint, maxAttempts, clock } = options;
  const http = createSqsHttp(options);
  const sdk = new SQSClient({
    region,
    // The first attempt is ours.
    maxAttempts: Math.max(1, maxAttempts - 1),
    requestHandler: http.sdkHandler,
    sha256: createSigningHash(),
    // The SDK would check the MD5 of every body, and on one mismatch throw away the whole batch for a visibility period.
    // TLS guards the transport, and a doorbell that is damaged all the same names no task: its codec refuses it.
    md5: false,
    // Errors come as errors; the SDK's hints (of hosts that differ, of sockets) would go to the console between log lines.
    logger: SILENT,
    // With an endpoint of our own the queue URL's host must not win: emulators give hosts that do not resolve.
    ...(endpoint === undefined ? {} : { endpoint, useQueueUrlAsEndpoint: false }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  });
  // The SDK's type is a union of this and its newer spelling, which cannot be called.
  const codec = sdk.config.protocol as unknown as Codec;
  const signing = sdk.config.signer({ name: "sigv4", signingName: "sqs", signingRegion: region, properties: {} });
  signing.catch(() => {});
  const contexts = new Map<string, Context>();

  function contextFor(queueUrl: string | undefined): Context {
    const address = endpoint ?? queueUrl ?? "";
    let context = contexts.get(address);
    if (context === undefined) {
      const { protocol: scheme, hostname, port, host, pathname: path } = new URL(endpoint ?? new URL(address).origin);
      const target = { protocol: scheme, hostname, path, ...(port === "" ? {} : { port: Number(port) }) };
      context = { host, serde: { ...sdk.config, endpoint: async () => target } };
      contexts.set(address, context);
    }
    return context;
  }

  async function shortWay<
    Input extends ServiceInputTypes & { QueueUrl: string | undefined },
    Output extends ServiceOutputTypes,
  >(command: SqsCommand<Input, Output>, timeoutMs: number): Promise<Output> {
    const operation = operationOf(command.schema);
    const { host, serde } = contextFor(command.input.QueueUrl);
    const request = await codec.serializeRequest(operation, command.input, serde);
    request.headers.host = host;
    request.headers["content-length"] = String(Buffer.byteLength(request.body));
    request.headers["user-agent"] = "taskiq-aws";
    const signingDate = new Date(clock.wallMs() + sdk.config.systemClockOffset);
    // A signer returns the class of request it was given; its type only says the interface.
    const signed = (await (await signing).sign(request, { signingDate })) as HttpRequest;
    const response = await http.exchange(signed, timeoutMs);
    // The schema that decodes it is the command's own.
    return (await codec.deserializeResponse(operation, serde, response)) as Output;
  }

  return {
    get requests() {
      return http.requests;
    },
    async call(command, timeoutMs = options.timeoutMs) {
      try {
        return await shortWay(command, timeoutMs);
      } catch (error) {
        // Without retries only an answer is worth the SDK's way: it may tell of a skewed clock or expired credentials.
        if (maxAttempts === 1 && !isAnswer(error)) throw error;
      }
      await clock.after(Math.random() * MAX_PAUSE_MS);
      return sdk.send(command);
    },
    close() {
      sdk.destroy();
      http.close();
    },
  };
}

type Context = { readonly host: string; readonly serde: object };

/** A schema in the shape the codec takes; the parts are the SDK's own and only passed on. */
type Operation = { namespace: string; name: string; traits: unknown; input: unknown; output: unknown };

type Codec = {
  serializeRequest(operation: Operation, input: object, context: object): Promise<HttpRequest>;
  deserializeResponse(operation: Operation, context: object, response: HttpResponse): Promise<unknown>;
};

/** Commands carry their schema as a tuple (9, namespace, name, traits, input, output), the codec takes it by name. */
function operationOf(schema: unknown): Operation {
  // The position of each part is fixed by the SDK's `StaticOperationSchema`.
  const [, namespace, name, traits, input, output] = schema as [9, string, string, unknown, unknown, unknown];
  return { namespace, name, traits, input, output };
}

function isAnswer(error: unknown): boolean {
  return error instanceof Error && "$metadata" in error;
}
