/** What everything is compared with: receive ten, delete ten, on the AWS SDK as it comes, without any database. */

import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from "@aws-sdk/client-sqs";

const { endpoint, queueUrls } = JSON.parse(String(process.env.BENCH));
const QueueUrl: string = queueUrls[0].url;
const client = new SQSClient({
  region: "us-east-1",
  endpoint,
  credentials: { accessKeyId: "test", secretAccessKey: "test" },
});

process.on("message", async ({ tasks, loops }: { tasks: number; loops: number }) => {
  let left = tasks;
  let requests = 0;
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  const loop = async () => {
    while (left > 0) {
      requests++;
      const { Messages = [] } = await client.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 1 }),
      );
      if (Messages.length === 0) continue;
      requests++;
      const Entries = Messages.map((message, index) => ({ Id: String(index), ReceiptHandle: message.ReceiptHandle }));
      await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
      left -= Messages.length;
    }
  };
  const running = Array.from({ length: loops }, loop);
  await Promise.race(running);
  const ms = performance.now() - startedMs;
  const used = process.cpuUsage(cpu);
  // The other loops' last polls must not take messages of the next round.
  await Promise.all(running);
  process.send?.({ ms, cpuMs: (used.user + used.system) / 1_000, requests, statements: 0 });
});
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));
process.send?.("ready");
