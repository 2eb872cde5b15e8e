/** A collector that real processes post their spans to: OTLP over HTTP, whose protobuf is read as far as the tests look. */
import { createServer } from "node:http";

export type CollectedSpan = {
  readonly service: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it began the trace. */
  readonly parent: string;
  readonly attributes: Readonly<Record<string, string | number>>;
};

export type Collector = {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** Headers of the posts so far. */
  readonly headers: readonly Readonly<Record<string, unknown>>[];
  close(): Promise<void>;
};

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const headers: Readonly<Record<string, unknown>>[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    headers.push({ ...request.headers, path: request.url });
    spans.push(...spansOf(Buffer.concat(chunks)));
    response.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // A TCP listener's address is an object; it is a string only for pipes.
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    headers,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** ExportTraceServiceRequest: resource_spans 1 → resource 1, scope_spans 2 → spans 2. */
function spansOf(message: Buffer): CollectedSpan[] {
  return nested(message, 1).flatMap((resourceSpans) => {
    const resource = attributesOf(nested(nested(resourceSpans, 1)[0] ?? NOTHING, 1));
    return nested(resourceSpans, 2)
      .flatMap((scopeSpans) => nested(scopeSpans, 2))
      .map((span) => ({
        service: String(resource["service.name"]),
        name: String(nested(span, 5)[0]),
        traceId: (nested(span, 1)[0] ?? NOTHING).toString("hex"),
        spanId: (nested(span, 2)[0] ?? NOTHING).toString("hex"),
        parent: (nested(span, 4)[0] ?? NOTHING).toString("hex"),
        attributes: attributesOf(nested(span, 9)),
      }));
  });
}

/** KeyValue: key 1, value 2 → string_value 1, int_value 3. */
function attributesOf(pairs: readonly Buffer[]): Record<string, string | number> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const value = fieldsOf(nested(pair, 2)[0] ?? NOTHING).find(({ field }) => field === 1 || field === 3);
      const plain = typeof value?.content === "number" ? value.content : String(value?.content ?? "");
      return [String(nested(pair, 1)[0]), plain];
    }),
  );
}

const NOTHING = Buffer.alloc(0);

function nested(message: Buffer, wanted: number): Buffer[] {
  return fieldsOf(message).flatMap(({ field, content }) =>
    field === wanted && typeof content !== "number" ? [content] : [],
  );
}

type Field = { readonly field: number; readonly content: Buffer | number };

/** The wire format: a tag, then a varint (0), 8 bytes (1), a length and so many bytes (2), or 4 bytes (5). */
function fieldsOf(message: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const type = tag & 7;
    if (type === 0) fields.push({ field: tag >> 3, content: varint() });
    else {
      const length = type === 1 ? 8 : type === 5 ? 4 : varint();
      fields.push({ field: tag >> 3, content: message.subarray(at, at + length) });
      at += length;
    }
  }
  return fields;
}
