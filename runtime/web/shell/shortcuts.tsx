/** Keys that work on every page, and the list of them behind `?`. */
import { useEffect, useRef, useState } from "react";
import { Dialog } from "../components/dialog.tsx";
import { navigate } from "../route/hash-location.ts";
import { PLACES } from "./places.ts";
import { isTyping } from "./typing.ts";

/** How long after `g` the other key may come. */
const CHORD_MS = 1_200;

const OTHERS: readonly (readonly [string, string])[] = [
  ["/", "to the filter"],
  ["j k", "down and up in a list"],
  ["Enter", "open the row"],
  ["Esc", "close"],
  ["?", "this list"],
];

export function Shortcuts() {
  const [isOpen, setOpen] = useState(false);
  const chordMs = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || isTyping(event)) return;
      const isChord = event.timeStamp - chordMs.current < CHORD_MS;
      chordMs.current = event.key === "g" ? event.timeStamp : Number.NEGATIVE_INFINITY;
      const place = isChord ? PLACES.find(({ key }) => key === event.key) : undefined;
      if (place !== undefined) return navigate(place.href);
      if (event.key === "?") return setOpen(true);
      if (event.key !== "/") return;
      const filter = document.querySelector<HTMLElement>("input[data-filter]");
      if (filter === null) return;
      event.preventDefault();
      filter.focus();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  if (!isOpen) return null;
  return (
    <Dialog title="Keys" onClose={() => setOpen(false)}>
      <dl className="keys">
        {[...PLACES.map(({ key, label }) => [`g ${key}`, label] as const), ...OTHERS].map(([keys, meaning]) => (
          <div key={keys} style={{ display: "contents" }}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
