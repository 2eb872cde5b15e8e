/** The address of an API. */
import { TaskiqError } from "../errors.ts";

/** The address without a slash at its end. Throws TaskiqError `config_invalid` unless it is a plain http or https URL. */
export function checkedBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url === undefined || !isHttp || `${url.username}${url.password}${url.search}${url.hash}` !== "") {
    throw new TaskiqError(
      "config_invalid",
      `expected the API's address as an http or https URL without user, query and fragment, got ${JSON.stringify(text)}. ` +
        "For example http://127.0.0.1:8080.",
    );
  }
  return url.href.replace(/\/+$/, "");
}
