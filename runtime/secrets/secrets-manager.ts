/**
 * Reads the password out of a secret in AWS Secrets Manager. It is in the shape that RDS gives the secrets it manages: a JSON object
 * with `username` and `password`; the user name is in the database's URL already.
 */
import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";
import { z } from "zod";
import { TaskiqError } from "../errors.ts";

export type SecretOptions = {
  readonly region: string;
  /** Where requests go, for example `http://localhost:4566`. Default: AWS. */
  readonly endpoint?: string;
  readonly arn: string;
  /** One try. Default 3,000 ms. */
  readonly requestTimeoutMs?: number;
};

const ATTEMPTS = 3;
const secretShape = z.object({ password: z.string().min(1) });

/**
 * Returns what asks for the password, each time anew.
 * It throws `database_unavailable`: without the password there is no database, and trying again later is right.
 */
export function openPasswordSecret({ region, endpoint, arn, requestTimeoutMs = 3_000 }: SecretOptions) {
  const client = new SecretsManagerClient({
    region,
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      socketTimeout: requestTimeoutMs,
    },
    ...(endpoint !== undefined && { endpoint }),
  });

  return async function readPassword(): Promise<string> {
    let text: string | undefined;
    try {
      ({ SecretString: text } = await client.send(new GetSecretValueCommand({ SecretId: arn })));
    } catch (cause) {
      const got = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
      throw unavailable(
        `expected to read the secret ${arn}, got ${got}. Check TASKIQ_DATABASE_SECRET_ARN, the network and the permission secretsmanager:GetSecretValue.`,
        cause,
      );
    }
    const secret = secretShape.safeParse(parsed(text));
    if (secret.success) return secret.data.password;
    throw unavailable(
      `expected the secret ${arn} to be a JSON object with "username" and "password", got something else (not shown). Correct the secret.`,
    );
  };
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function unavailable(message: string, cause?: unknown): TaskiqError {
  return new TaskiqError("database_unavailable", message, { cause });
}
