/** Puts a text into the clipboard, and says so. */
import "./copy.css";
import Check from "lucide-react/icons/check";
import CopyIcon from "lucide-react/icons/copy";
import { useEffect, useState } from "react";
import { Link } from "wouter";
import { useToasts } from "./toast.tsx";

const SAID_MS = 1_500;

export type CopyProps = {
  readonly text: string;
  /** What it is: `id`, `input`. Default `text`. */
  readonly what?: string;
};

export function Copy({ text, what = "text" }: CopyProps) {
  const [isDone, setDone] = useState(false);
  const { show } = useToasts();
  useEffect(() => {
    if (!isDone) return;
    const timer = setTimeout(() => setDone(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [isDone]);
  const copy = async () => {
    try {
      await writeText(text);
      setDone(true);
    } catch {
      show({
        kind: "failed",
        title: "This browser does not let the page copy",
        detail: "Select the text and copy it.",
      });
    }
  };
  const label = isDone ? "Copied" : `Copy ${what}`;
  return (
    <button type="button" className="copy" aria-label={label} title={label} onClick={() => void copy()}>
      {isDone ? <Check size={13} aria-hidden="true" /> : <CopyIcon size={13} aria-hidden="true" />}
    </button>
  );
}

async function writeText(text: string): Promise<void> {
  // Browsers have a clipboard on https and on this machine only; for others there is the old way.
  if ("clipboard" in navigator) return await navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (!isDone) throw new Error("expected the browser to copy, it did not");
}

export type IdProps = {
  readonly id: string;
  readonly href?: string;
  /** All of it. Default: its last eight characters, which differ most. */
  readonly whole?: boolean;
  /** Default true. */
  readonly copy?: boolean;
};

/** An id that can be copied. */
export function Id({ id, href, whole = false, copy = true }: IdProps) {
  const text = whole ? id : shortId(id);
  return (
    <span className="id">
      {href === undefined ? (
        <span className="mono" title={id}>
          {text}
        </span>
      ) : (
        <Link href={href} className="mono link" title={id}>
          {text}
        </Link>
      )}
      {copy && <Copy text={id} what="id" />}
    </span>
  );
}

/** The ids begin with the time: what is next to each other in a list differs at the end. */
export function shortId(id: string): string {
  return id.length <= 12 ? id : id.slice(-8);
}

/** A command to be run elsewhere. */
export function Command({ text }: { readonly text: string }) {
  return (
    <span className="command">
      <code>{text}</code>
      <Copy text={text} what="command" />
    </span>
  );
}
