/** `/metrics` for Prometheus, and the measure of each request for it. */

import { z } from "zod";
import { TaskiqError } from "../errors.ts";
import type { App } from "./app.ts";
import { problems } from "./docs.ts";

/** Null in place of it: the route says that there are none. */
export type ApiMetrics = {
  /** The text and its type. */
  text(): Promise<string>;
  readonly contentType: string;
  /** An answer was sent. Returns at once and never throws. @param route its pattern; null: nothing is served at this path */
  answered(method: string, route: string | null, status: number, seconds: number): void;
};

const TEXT = z.string();

/** Requests are measured that come to routes added after this. */
export function measureRequests(app: App, metrics: ApiMetrics | null): void {
  if (metrics === null) return;
  app.addHook("onResponse", (request, reply, done) => {
    const route = request.is404 ? null : (request.routeOptions.url ?? null);
    metrics.answered(request.method, route, reply.statusCode, reply.elapsedTime / 1_000);
    done();
  });
}

export function metricsRoutes(app: App, metrics: ApiMetrics | null): void {
  app.get(
    "/metrics",
    {
      // The figures are those of all tenants.
      config: { scope: "read", allTenants: true },
      schema: {
        operationId: "metrics",
        summary: "The metrics of this process",
        description:
          "In the text format of Prometheus. Where keys are asked for, give Prometheus one of the tenant `default` as `authorization.credentials`.",
        tags: ["health"],
        response: {
          200: { description: "The metrics.", content: { "text/plain": { schema: TEXT } } },
          ...problems("route_not_found"),
        },
      },
    },
    async (_request, reply) => {
      if (metrics === null) {
        throw new TaskiqError(
          "route_not_found",
          "Metrics are not shown here. Put prometheus into TASKIQ_METRICS and start the process again.",
        );
      }
      return reply.type(metrics.contentType).send(await metrics.text());
    },
  );
}
