/** Calls of IAM and STS, for which no SDK client is installed: their protocol is a form, their signature a few hashes. */
import { createHash, createHmac } from "node:crypto";

export type Keys = { readonly accessKeyId: string; readonly secretAccessKey: string };

export type Iam = {
  /** The answer's XML. Throws when it is an error. */
  call(action: string, parameters: Readonly<Record<string, string>>): Promise<string>;
};

const REGION = "us-east-1";
const VERSION = "2010-05-08";

export function openIam(endpoint: string, keys: Keys): Iam {
  return {
    async call(action, parameters) {
      const body = new URLSearchParams({ Action: action, Version: VERSION, ...parameters }).toString();
      const response = await fetch(`${endpoint}/`, { method: "POST", headers: signed(endpoint, body, keys), body });
      const text = await response.text();
      if (!response.ok) throw new Error(`expected ${action} to succeed, got ${response.status}: ${text.slice(0, 500)}`);
      return text;
    },
  };
}

/** The text of the first such element. */
export function textIn(xml: string, element: string): string {
  const text = new RegExp(`<${element}>([^<]*)</${element}>`).exec(xml)?.[1];
  if (text === undefined) throw new Error(`expected an element ${element} in ${xml.slice(0, 500)}`);
  return text.replaceAll("&quot;", '"').replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
function signed(endpoint: string, body: string, { accessKeyId, secretAccessKey }: Keys): Record<string, string> {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
  const day = time.slice(0, 8);
  const scope = `${day}/${REGION}/iam/aws4_request`;
  const headers = {
    "content-type": "application/x-www-form-urlencoded",
    host: new URL(endpoint).host,
    "x-amz-date": time,
  };
  const names = Object.keys(headers).join(";");
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const request = ["POST", "/", "", lines.join(""), names, sha256(body)].join("\n");
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256(request)].join("\n");
  const key = [day, REGION, "iam", "aws4_request"].reduce<string | Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    `AWS4${secretAccessKey}`,
  );
  const signature = createHmac("sha256", key).update(text).digest("hex");
  const credential = `Credential=${accessKeyId}/${scope}`;
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
