/** The parts of a JSON text, for colouring. Pure. */

export type Token = {
  readonly kind: "name" | "string" | "number" | "word" | "plain";
  readonly text: string;
  /** Where it begins. */
  readonly at: number;
};

const PARTS = /("(?:[^"\\]|\\.)*")(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;

/** All of the text, in order. */
export function tokensOf(json: string): Token[] {
  const tokens: Token[] = [];
  let end = 0;
  const add = (kind: Token["kind"], text: string) => {
    if (text !== "") tokens.push({ kind, text, at: end });
    end += text.length;
  };
  for (const match of json.matchAll(PARTS)) {
    add("plain", json.slice(end, match.index));
    const [whole, string, colon] = match;
    if (string === undefined) {
      add(/^[tfn]/.test(whole) ? "word" : "number", whole);
    } else {
      add(colon === undefined ? "string" : "name", string);
      add("plain", colon ?? "");
    }
  }
  add("plain", json.slice(end));
  return tokens;
}
