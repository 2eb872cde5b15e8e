/** `j` and `k` through the rows of a list, Enter to open one. */
import { useEffect, useRef, useState } from "react";
import { isTyping } from "../shell/typing.ts";

export type RowKeys = {
  readonly count: number;
  /** Undefined: the rows lead nowhere. */
  readonly onOpen: ((index: number) => void) | undefined;
  readonly scrollTo: (index: number) => void;
};

/** The row that the keys have reached; -1: none yet. */
export function useRowKeys(keys: RowKeys): number {
  const [active, setActive] = useState(-1);
  const latest = useRef(keys);
  const at = useRef(active);
  useEffect(() => {
    latest.current = keys;
    at.current = active;
  });
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { count, onOpen, scrollTo } = latest.current;
      if (onOpen === undefined || event.defaultPrevented || isTyping(event)) return;
      if (event.key === "j" || event.key === "k") {
        const next = Math.min(count - 1, Math.max(0, at.current + (event.key === "j" ? 1 : -1)));
        at.current = next;
        setActive(next);
        if (next >= 0) scrollTo(next);
      } else if (event.key === "Enter" && at.current >= 0 && at.current < count && isOnPage(event.target)) {
        onOpen(at.current);
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return active < keys.count ? active : -1;
}

/** Enter on a link or a button is that one's. */
function isOnPage(target: EventTarget | null): boolean {
  return !(target instanceof Element) || target.closest("a, button, summary, [tabindex='0']") === null;
}
