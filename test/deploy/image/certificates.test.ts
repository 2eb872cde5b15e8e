import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { describe, expect, it } from "vitest";
import { certificateBundle } from "../../../deploy/image/certificates.ts";

const bundle = certificateBundle();
const authorities = (bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []).map(
  (pem) => new X509Certificate(pem),
);

/** A database lives for years: an authority that ends sooner than this would end connections without a new image. */
const TEN_YEARS_MS = 10 * 365 * 86_400_000;

function rootsOf(region: string, algorithm: string): X509Certificate[] {
  const name = `CN=Amazon RDS ${region} Root CA ${algorithm} G1`;
  return authorities.filter((one) => one.subject.includes(name));
}

describe("certificateBundle", () => {
  it("is text that TLS takes as certificate authorities", () => {
    expect(() => createSecureContext({ ca: bundle })).not.toThrow();
    expect(authorities.length).toBeGreaterThan(90);
    expect(authorities.every((one) => one.ca)).toBe(true);
  });

  const regions = ["us-east-1", "us-west-2", "eu-central-1", "eu-west-1", "ap-southeast-2", "sa-east-1"];
  const algorithms = ["RSA2048", "RSA4096", "ECC384"];
  it.each(regions.flatMap((region) => algorithms.map((algorithm) => [region, algorithm] as const)))(
    "has the authority of %s for %s, good for years and signed by itself",
    (region, algorithm) => {
      const [root, ...more] = rootsOf(region, algorithm);
      expect(more).toEqual([]);
      expect(root?.publicKey.asymmetricKeyType).toBe(algorithm === "ECC384" ? "ec" : "rsa");
      expect(root?.verify(root.publicKey)).toBe(true);
      expect(Date.parse(root?.validTo ?? "")).toBeGreaterThan(Date.now() + TEN_YEARS_MS);
    },
  );

  it("has no authority twice, and none of Amazon's test environments", () => {
    const fingerprints = authorities.map((one) => one.fingerprint256);
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    expect(authorities.filter((one) => /Beta|Preview/.test(one.subject))).toEqual([]);
  });
});
