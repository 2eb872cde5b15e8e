/** The API as a command uses it: with the key of the environment, which no argument can show to who lists processes. */
import { type Client, createClient } from "../client/client.ts";
import { apiKeyOfProcess } from "../config.ts";

export function openClient(url: string): Client {
  const apiKey = apiKeyOfProcess();
  return createClient({ baseUrl: url, ...(apiKey !== undefined && { apiKey }) });
}
