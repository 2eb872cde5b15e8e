/**
 * The two calls of the ECS JSON API that the scaler makes, for one service. The counts follow a request at once. Faults are put
 * in front of it with support/aws-proxy.ts.
 */
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { Treatment } from "../support/aws-proxy.ts";

type Deployment = { status: string; rolloutState?: string };

export type EcsStub = {
  readonly endpoint: string;
  /** What DescribeServices answers with; a test changes it as it likes. */
  readonly service: {
    status: string;
    desiredCount: number;
    runningCount: number;
    pendingCount: number;
    deployments: Deployment[];
  };
  /** Every count that was asked for, in order. */
  readonly asked: number[];
  close(): Promise<void>;
};

export const CLUSTER = "taskiq-test";
export const SERVICE = "taskiq-test-worker";

export async function startEcsStub(desired = 1): Promise<EcsStub> {
  const asked: number[] = [];
  const service: EcsStub["service"] = {
    status: "ACTIVE",
    desiredCount: desired,
    runningCount: desired,
    pendingCount: 0,
    deployments: [{ status: "PRIMARY", rolloutState: "COMPLETED" }],
  };

  function answer(operation: string, input: Record<string, unknown>): { status: number; body: object } {
    if (input.cluster !== CLUSTER) {
      return { status: 400, body: { __type: "ClusterNotFoundException", message: "Cluster not found." } };
    }
    if (operation === "DescribeServices") {
      const known = JSON.stringify(input.services) === JSON.stringify([SERVICE]);
      const failures = known ? [] : [{ arn: String(input.services), reason: "MISSING" }];
      return { status: 200, body: { services: known ? [{ serviceName: SERVICE, ...service }] : [], failures } };
    }
    if (operation === "UpdateService") {
      if (input.service !== SERVICE) {
        return { status: 400, body: { __type: "ServiceNotFoundException", message: "Service not found." } };
      }
      service.desiredCount = Number(input.desiredCount);
      service.runningCount = service.desiredCount;
      asked.push(service.desiredCount);
      return { status: 200, body: { service: { serviceName: SERVICE, ...service } } };
    }
    return { status: 400, body: { __type: "InvalidAction", message: operation } };
  }

  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const operation = String(request.headers["x-amz-target"]).replace(/^.*\./, "");
    const { status, body } = answer(operation, JSON.parse(Buffer.concat(chunks).toString("utf8")));
    const text = JSON.stringify(body);
    response.writeHead(status, {
      "content-type": "application/x-amz-json-1.1",
      "content-length": Buffer.byteLength(text),
    });
    response.end(text);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    service,
    asked,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** An error as ECS gives it. */
export function ecsError(status: number, code: string): Treatment {
  return {
    kind: "answer",
    answer: {
      status,
      headers: { "content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "test" },
      body: JSON.stringify({ __type: code, message: `the test said ${code}` }),
    },
  };
}
