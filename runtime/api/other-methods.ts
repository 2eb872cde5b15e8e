/** 405 for a path that exists: without it a wrong method looks like a wrong path. */
import { TaskiqError } from "../errors.ts";
import type { App } from "./app.ts";

/** Notes the routes that are added from now on; the function it returns refuses what is left of their methods. */
export function refuseOtherMethods(app: App): () => void {
  const methodsOf = new Map<string, Set<string>>();
  let collecting = true;
  app.addHook("onRoute", ({ url, method }) => {
    if (!collecting) return;
    const methods = methodsOf.get(url) ?? new Set();
    methodsOf.set(url, methods);
    for (const each of [method].flat()) methods.add(each);
  });

  return () => {
    collecting = false;
    for (const [url, methods] of methodsOf) {
      const allowed = [...methods].sort().join(", ");
      app.route({
        url,
        method: app.supportedMethods.filter((method) => !methods.has(method)),
        config: { scope: null },
        schema: { hide: true },
        // Before the body is read.
        onRequest: (request, reply, done) => {
          reply.header("allow", allowed);
          done(new TaskiqError("method_not_allowed", `expected one of ${allowed} for ${url}, got ${request.method}.`));
        },
        handler: () => undefined,
      });
    }
  };
}
