/**
 * Request bodies as values, exactly. `JSON.parse` would round 2^53 + 1, turn 1e999 into Infinity and 1e-999 into 0
 * without a word: such a number is refused, by its path. Depth is bounded here, once, for everything behind that
 * recurses (schemas, hashing, encoding).
 */
import { isUtf8 } from "node:buffer";
import type { FastifyRequest } from "fastify";
import { TaskiqError } from "../errors.ts";
import { MAX_JSON_DEPTH } from "../payload/json.ts";
import { inexactNumber } from "../wire/inexact.ts";
import { nestsDeeperThan } from "../wire/json-text.ts";
import type { App } from "./app.ts";
import { requestInvalid } from "./validation.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The route may be posted to without a body. */
    bodyOptional?: boolean;
  }
}

/** JSON is the only type taken, and no encoding on top of it: a few compressed bytes can be a gigabyte. */
export function takeJsonBodies(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body, done) => {
    try {
      // As `parseAs` says.
      const bytes = body as Buffer;
      done(null, bytes.length === 0 && isBodyOptional(request) ? undefined : parseBody(bytes));
    } catch (error) {
      // All that parseBody throws.
      done(error as TaskiqError);
    }
  });
  app.addHook("onRequest", (request, _reply, done) => {
    const encoding = request.headers["content-encoding"];
    if (encoding === undefined || encoding.toLowerCase() === "identity") return done();
    const detail = `expected a body without Content-Encoding, got ${JSON.stringify(encoding.slice(0, 100))}. Send it as it is.`;
    done(new TaskiqError("unsupported_media_type", detail));
  });
  app.addHook("preValidation", (request, _reply, done) => {
    // A route whose schema takes no body, or leaves it out, is asked without one.
    const needsBody = request.method === "POST" && !isBodyOptional(request);
    done(needsBody && request.body === undefined ? emptyBody() : undefined);
  });
}

function isBodyOptional(request: FastifyRequest): boolean {
  return request.routeOptions.config.bodyOptional === true;
}

/** Throws TaskiqError `not_json_body`, or `request_invalid` for values that would not come through unchanged. */
export function parseBody(bytes: Buffer): unknown {
  if (bytes.length === 0) throw emptyBody();
  if (!isUtf8(bytes)) throw notJson("bytes that are not UTF-8");
  const text = withoutMark(bytes.toString("utf8"));
  const value = parse(text);
  // Each level takes two characters.
  if (text.length > 2 * MAX_JSON_DEPTH && nestsDeeperThan(text, MAX_JSON_DEPTH)) {
    throw requestInvalid([{ path: "", message: `expected at most ${MAX_JSON_DEPTH} levels of nesting, got more` }]);
  }
  const inexact = inexactNumber(text);
  if (inexact === null) return value;
  const message = `expected a number that a double holds exactly, got ${inexact.text}. Send it as a string.`;
  throw requestInvalid([{ path: inexact.path.join("."), message }]);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw notJson(error instanceof Error ? error.message : "text that is not JSON");
  }
}

function withoutMark(text: string): string {
  return text.startsWith("\ufeff") ? text.slice(1) : text;
}

function emptyBody(): TaskiqError {
  return notJson("an empty body");
}

function notJson(got: string): TaskiqError {
  return new TaskiqError("not_json_body", `expected a JSON body, got ${got}.`);
}
