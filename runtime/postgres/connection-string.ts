/**
 * TLS by two values only: off, or fully verified. `pg` lets a connection string override every other setting, down to a
 * connection whose server nobody verified, so the string's TLS settings are taken out and decided here.
 */
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { TaskiqError } from "../errors.ts";

export type Endpoint = { readonly connectionString: string; readonly ssl: false | ConnectionOptions };

const TLS_SETTINGS = ["sslmode", "sslrootcert", "ssl", "uselibpqcompat"];

/**
 * Splits a `postgres://` URL into what `pg` may see and the TLS options.
 * `sslmode` absent or `disable`: no TLS. `verify-full`, and the weaker `require` and `verify-ca`, which are lifted to it:
 * certificate and host name are verified. Anything else is `config_invalid`.
 * The certificate authorities are `caFile`, else the URL's `sslrootcert` (PEM files), else those of Node.
 */
export function readConnectionString(connectionString: string, caFile?: string): Endpoint {
  const [address = "", query = ""] = splitOnce(connectionString, "?");
  const settings = new URLSearchParams(query);
  const mode = settings.get("sslmode") ?? "disable";
  const rootFile = caFile ?? settings.get("sslrootcert") ?? undefined;
  for (const name of TLS_SETTINGS) settings.delete(name);
  const rest = settings.size === 0 ? address : `${address}?${settings}`;
  return { connectionString: rest, ssl: tlsOptions(mode, rootFile) };
}

function tlsOptions(mode: string, caFile: string | undefined): false | ConnectionOptions {
  switch (mode) {
    case "disable":
      return false;
    case "require":
    case "verify-ca":
    case "verify-full":
      return { rejectUnauthorized: true, ...(caFile !== undefined && { ca: readAuthorities(caFile) }) };
    default:
      throw new TaskiqError(
        "config_invalid",
        `DATABASE_URL: expected sslmode to be disable or verify-full, got "${mode}". Use sslmode=verify-full, and name the file of the certificate authority if it is your own.`,
      );
  }
}

function readAuthorities(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new TaskiqError(
      "config_invalid",
      `expected a PEM file of certificate authorities at ${file}, it cannot be read. Correct the path, or leave it out to trust the authorities of Node.`,
      { cause },
    );
  }
}

function splitOnce(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
