/** What the audit says of an action. */

/** What it was done to, newest first. @param web where the API is; one that asks nobody for a key */
export async function audited(web: { readonly url: string }, action: string): Promise<(string | null)[]> {
  const response = await fetch(`${web.url}/v1/audit`);
  // As the API documents it.
  const { entries } = (await response.json()) as { entries: { action: string; target: string | null }[] };
  return entries.filter((entry) => entry.action === action).map(({ target }) => target);
}
