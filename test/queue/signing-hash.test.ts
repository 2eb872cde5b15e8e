import { createHash, createHmac } from "node:crypto";
import { SQSClient } from "@aws-sdk/client-sqs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSigningHash } from "../../runtime/queue/signing-hash.ts";

const bytes = fc.uint8Array({ maxLength: 200 });
const secret = fc.oneof(fc.string({ minLength: 1 }), fc.uint8Array({ minLength: 1, maxLength: 100 }));

describe("the hash for signing", () => {
  it("is SHA-256 over whatever pieces the data comes in", async () => {
    const Hash = createSigningHash();
    await fc.assert(
      fc.asyncProperty(fc.array(bytes, { maxLength: 4 }), async (pieces) => {
        const hash = new Hash();
        for (const piece of pieces) hash.update(piece);
        const expected = createHash("sha256").update(Buffer.concat(pieces)).digest();
        expect(Buffer.from(await hash.digest())).toEqual(expected);
      }),
    );
  });

  it("is HMAC-SHA-256 with a secret, on every use of the secret", async () => {
    const Hash = createSigningHash();
    await fc.assert(
      fc.asyncProperty(secret, fc.array(bytes, { minLength: 1, maxLength: 4 }), async (key, texts) => {
        for (const text of [...texts, ...texts]) {
          const hash = new Hash(key);
          hash.update(text);
          expect(Buffer.from(await hash.digest())).toEqual(createHmac("sha256", key).update(text).digest());
        }
      }),
    );
  });

  it("signs a request as the SDK's own hash does, also after the credentials changed", async () => {
    const Hash = createSigningHash();
    const signingDate = new Date("2026-02-03T04:05:06Z");
    for (const secretAccessKey of ["one", "two", "one"]) {
      const signed = await Promise.all([sign({ secretAccessKey }), sign({ secretAccessKey, sha256: Hash })]);
      expect(signed[0]).toMatch(/^AWS4-HMAC-SHA256 Credential=id\/20260203\/us-east-1\/sqs\/aws4_request/);
      expect(signed[1]).toBe(signed[0]);
    }

    async function sign(options: { secretAccessKey: string; sha256?: typeof Hash }): Promise<string | undefined> {
      const { secretAccessKey, ...rest } = options;
      const credentials = { accessKeyId: "id", secretAccessKey, sessionToken: "token" };
      const client = new SQSClient({ region: "us-east-1", credentials, ...rest });
      const signer = await client.config.signer({
        name: "sigv4",
        signingName: "sqs",
        signingRegion: "us-east-1",
        properties: {},
      });
      const request = {
        protocol: "https:",
        hostname: "sqs.us-east-1.amazonaws.com",
        method: "POST",
        path: "/",
        query: {},
        headers: { host: "sqs.us-east-1.amazonaws.com", "x-amz-target": "AmazonSQS.ReceiveMessage" },
        body: '{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/1/a"}',
      };
      const { headers } = await signer.sign(request, { signingDate });
      return headers.authorization;
    }
  });
});
