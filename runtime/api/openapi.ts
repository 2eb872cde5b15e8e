/** `/openapi.json`, made from the schemas that requests are checked against, and `/docs` to browse it. */
import swagger, { type SwaggerTransformObject } from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from "fastify-type-provider-zod";
import type { App } from "./app.ts";
import { DOCS } from "./docs.ts";

export const DOCS_PREFIX = "/docs";
/** How the document names that a key is asked for. */
export const SECURITY_SCHEME = "key";

/** Before any route is added: only routes added later are documented. */
export async function documentRoutes(app: App, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "taskiq-aws",
        version,
        description: "Background tasks on SQS and Postgres. Errors are problem details (RFC 9457) with stable codes.",
        license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      },
      servers: [{ url: "/" }],
      tags: [
        { name: "tasks", description: "Submit tasks and follow them." },
        { name: "jobs", description: "Graphs of steps that are defined in code." },
        { name: "runs", description: "Start graphs of steps, and follow them." },
        { name: "overview", description: "How the deployment does." },
        { name: "demo", description: "The same around one task, `sleep`." },
        { name: "access", description: "Keys, and who did what." },
        { name: "queues", description: "Look at them, pause them, put their dead letters back to work." },
        { name: "workers", description: "Who runs them." },
        { name: "health", description: "For load balancers and people." },
      ],
      components: {
        securitySchemes: {
          [SECURITY_SCHEME]: {
            type: "http",
            scheme: "bearer",
            description: "A key made by `taskiq-aws keygen`. What it must allow stands beside each operation.",
          },
        },
      },
    },
    transform: createJsonSchemaTransform(CONVERSION),
    transformObject: onlyUsedComponents,
  });
  await app.register(swaggerUi, {
    routePrefix: DOCS_PREFIX,
    // The page comes from this process alone. Swagger UI styles elements in place and shows images as data.
    staticCSP: "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    uiConfig: { docExpansion: "list", deepLinking: true },
    theme: { title: "taskiq-aws" },
  });
  let text: string | undefined;
  app.get("/openapi.json", { config: { scope: null }, schema: { hide: true } }, (_request, reply) => {
    text ??= JSON.stringify(app.swagger());
    return reply.type("application/json").send(text);
  });
}

type Conversion = NonNullable<Parameters<typeof createJsonSchemaTransform>[0]>;

const CONVERSION: Conversion = {
  schemaRegistry: DOCS,
  zodToJsonConfig: {
    override({ zodSchema, jsonSchema }) {
      const { def } = zodSchema._zod;
      // Answers may gain fields: only what was made strict refuses others.
      if (def.type === "object" && !("catchall" in def && def.catchall)) delete jsonSchema.additionalProperties;
      // The format says it, and the pattern fills a screen.
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
      // The bounds that zod gives every integer.
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    },
  },
};

/** The provider makes two components of a schema, one for requests and one for answers; those nobody refers to are left out. */
const onlyUsedComponents: SwaggerTransformObject = (document) => {
  const complete = createJsonSchemaTransformObject(CONVERSION)(document);
  // The document is one of OpenAPI 3.1, of which the type leaves two more versions open.
  const { components } = complete as { components?: { schemas?: Record<string, unknown> } };
  const schemas = Object.entries(components?.schemas ?? {});
  const used = new Map<string, unknown>();
  // A component may be used by another that is used itself.
  for (let text = JSON.stringify(complete.paths); text !== ""; ) {
    const found = schemas.filter(([name]) => !used.has(name) && text.includes(`"#/components/schemas/${name}"`));
    for (const [name, schema] of found) used.set(name, schema);
    text = found.map(([, schema]) => JSON.stringify(schema)).join("");
  }
  const inOrder = schemas.filter(([name]) => used.has(name));
  return Object.assign(complete, { components: { ...components, schemas: Object.fromEntries(inOrder) } });
};
