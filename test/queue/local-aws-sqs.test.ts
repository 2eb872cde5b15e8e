/** The queue port on a second service that speaks the protocol of SQS: what only one emulator does is no contract. */
import { createServer, type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { createRequestHandler } from "local-aws-sqs";
import { type Difference, type QueueService, queueContract } from "./contract.ts";

/** What local-aws-sqs 2.0.2 does not do as SQS does, found by this suite and read in its code. */
const DIFFERENCES: readonly Difference[] = [
  {
    claim: "ends a long poll when a message arrives",
    because: "a poll waits its whole time unless as many messages come as were asked for",
  },
  {
    claim: "counts what is visible, in flight and delayed",
    because: "it counts what is in flight among the visible too",
  },
  {
    claim: "holds back the rest of a group while one of its messages is in flight, and no other group",
    because: "a FIFO queue delivers in order, but does not look at groups",
  },
  {
    claim: "reports what the service refuses, entry by entry, and holds back what follows in the group",
    because: "it refuses a whole batch for one bad entry",
  },
];

queueContract("local-aws-sqs", start, DIFFERENCES);

async function start(): Promise<QueueService> {
  let answer: RequestListener = () => {};
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = server.address() as AddressInfo;
  const { requestHandler } = createRequestHandler({ port, hostname: "127.0.0.1" });
  answer = async (request, response) => requestHandler(await inItsWords(request), response);
  return {
    endpoint: `http://127.0.0.1:${port}`,
    region: "us-east-1",
    credentials: { accessKeyId: "test", secretAccessKey: "test" },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** It knows `AttributeNames` only, which SQS replaced by `MessageSystemAttributeNames` and still takes. */
async function inItsWords(request: IncomingMessage): Promise<IncomingMessage> {
  const body = (await buffer(request)).toString().replace('"MessageSystemAttributeNames":', '"AttributeNames":');
  const { headers, method, url } = request;
  // All that the handler reads of a request, besides its stream.
  return Object.assign(Readable.from([Buffer.from(body)]), { headers, method, url }) as unknown as IncomingMessage;
}
