/**
 * SHA-256 and HMAC for request signing. With the SDK's own class signing a request costs 42 µs of CPU, with this one
 * 21 µs: it makes a hash object and a copy of it for each digest where `hash` is one call, and hands byte arrays to
 * `createHmac`, which Node first takes for a key object by way of an error that it throws and catches (12 µs against 3).
 */
import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import type { SQSClient } from "@aws-sdk/client-sqs";

type HashConstructor = SQSClient["config"]["sha256"];
type Data = string | ArrayBuffer | ArrayBufferView;

const EMPTY = Buffer.alloc(0);

/** For the `sha256` option of an SDK client. */
export function createSigningHash(): HashConstructor {
  // The SDK caches the signing key of the day and passes the same array each time; an entry goes with its array.
  const keyObjects = new WeakMap<object, KeyObject>();
  // To find that key the SDK hashes the credentials for every request; text is a secret nowhere else but once a day.
  let last: { readonly secret: string; readonly data: Buffer; readonly digest: Buffer } | null = null;

  function keyOf(secret: Data): string | KeyObject {
    if (typeof secret === "string") return secret;
    let key = keyObjects.get(secret);
    if (key === undefined) {
      key = createSecretKey(bytesOf(secret));
      keyObjects.set(secret, key);
    }
    return key;
  }

  return class SigningHash {
    readonly #secret: Data | undefined;
    #data: Buffer = EMPTY;

    constructor(secret?: Data) {
      this.#secret = secret;
    }

    update(chunk: Data): void {
      const bytes = bytesOf(chunk);
      this.#data = this.#data.length === 0 ? bytes : Buffer.concat([this.#data, bytes]);
    }

    async digest(): Promise<Uint8Array> {
      const secret = this.#secret;
      const data = this.#data;
      if (secret === undefined) return hash("sha256", data, "buffer");
      if (last !== null && last.secret === secret && last.data.equals(data)) return Buffer.from(last.digest);
      const digest = createHmac("sha256", keyOf(secret)).update(data).digest();
      if (typeof secret === "string") last = { secret, data: Buffer.from(data), digest: Buffer.from(digest) };
      return digest;
    }

    reset(): void {
      this.#data = EMPTY;
    }
  };
}

function bytesOf(data: Data): Buffer {
  if (typeof data === "string") return Buffer.from(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}
