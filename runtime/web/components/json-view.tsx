/** A value as indented JSON with its parts told apart by colour. Of a large one the beginning; the rest can be copied. */
import "./json-view.css";
import { useMemo } from "react";
import { Copy } from "./copy.tsx";
import { type Token, tokensOf } from "./json-tokens.ts";

export type JsonViewProps = {
  readonly value: unknown;
  /** What it is: `input`. */
  readonly what: string;
  /** Where nothing is there. Default "None". */
  readonly none?: string;
};

const MOST_CHARS = 60_000;

export function JsonView({ value, what, none = "None" }: JsonViewProps) {
  const text = useMemo(() => (value === null || value === undefined ? null : JSON.stringify(value, null, 2)), [value]);
  const tokens = useMemo(() => (text === null ? [] : tokensOf(text.slice(0, MOST_CHARS))), [text]);
  if (text === null) return <p className="faint">{none}</p>;
  return (
    <div className="json">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which takes the keyboard too */}
      <section tabIndex={0} aria-label={what}>
        <pre>
          {tokens.map(({ kind, text: part, at }) => (
            <TokenText key={at} kind={kind} text={part} />
          ))}
          {text.length > MOST_CHARS && (
            <span className="faint">{`\n… ${text.length - MOST_CHARS} more characters`}</span>
          )}
        </pre>
      </section>
      <Copy text={text} what={what} />
    </div>
  );
}

function TokenText({ kind, text }: Pick<Token, "kind" | "text">) {
  return kind === "plain" ? text : <span className={`json-${kind}`}>{text}</span>;
}
