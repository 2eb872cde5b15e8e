/** Filters of a list, all of which stand in the address. `/` goes to the first one. A change of one leads to the first page (the parameter `at`). */
import "./filter-bar.css";
import Search from "lucide-react/icons/search";
import X from "lucide-react/icons/x";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useParams } from "../route/params.ts";
import { Button } from "./button.tsx";
import { type ShownState, StateIcon } from "./state-badge.tsx";

export type FilterBarProps = {
  readonly children: ReactNode;
  /** The parameters that "Clear" takes away. */
  readonly params: readonly string[];
  /** At the right, such as what can be done with all that match. */
  readonly aside?: ReactNode;
};

export function FilterBar({ children, params: names, aside }: FilterBarProps) {
  const [params, change] = useParams();
  const isUsed = names.some((name) => params.has(name));
  return (
    <search className="filter-bar" aria-label="Filters">
      {children}
      {isUsed && (
        <Button
          look="quiet"
          size="small"
          icon={X}
          label="Clear the filters"
          onClick={() => change(Object.fromEntries(names.map((name) => [name, null])))}
        />
      )}
      {aside !== undefined && <div className="filter-aside">{aside}</div>}
    </search>
  );
}

const TYPING_MS = 250;

export type TextFilterProps = {
  /** Its name in the address. */
  readonly param: string;
  readonly label: string;
  readonly placeholder: string;
  readonly suggestions?: readonly string[];
  readonly width?: number;
  /** Undefined: nothing is wrong with it. */
  readonly issue?: string | undefined;
};

/** Takes effect when the typing pauses. */
export function TextFilter({ param, label, placeholder, suggestions = [], width = 128, issue }: TextFilterProps) {
  const id = useId();
  const [params, change] = useParams();
  const given = params.get(param) ?? "";
  const [text, setText] = useState(given);
  const sent = useRef(given);
  useEffect(() => {
    // Changed from elsewhere: "Clear", or the way back.
    if (given !== sent.current) setText(given);
    sent.current = given;
  }, [given]);
  useEffect(() => {
    if (text === sent.current) return;
    const timer = setTimeout(() => {
      sent.current = text.trim();
      change({ [param]: text.trim(), at: null });
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [text, param, change]);
  return (
    <span className="filter-text" style={{ width }}>
      <Search size={13} aria-hidden="true" />
      <input
        className="input"
        data-filter={param}
        aria-label={label}
        aria-invalid={issue === undefined ? undefined : true}
        title={issue ?? label}
        placeholder={placeholder}
        value={text}
        list={suggestions.length === 0 ? undefined : id}
        autoComplete="off"
        spellCheck={false}
        onChange={(event) => setText(event.target.value)}
      />
      {suggestions.length > 0 && (
        <datalist id={id}>
          {suggestions.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </span>
  );
}

export type SelectFilterProps = {
  readonly param: string;
  readonly label: string;
  /** The first one is for no filter: its value is "". */
  readonly choices: readonly (readonly [value: string, label: string])[];
};

export function SelectFilter({ param, label, choices }: SelectFilterProps) {
  const [params, change] = useParams();
  const value = params.get(param) ?? "";
  // What an address asks for may not be known yet, or any more.
  const isKnown = choices.some(([choice]) => choice === value);
  return (
    <select
      className="input filter-select"
      data-filter={param}
      aria-label={label}
      value={value}
      onChange={(event) => change({ [param]: event.target.value, at: null })}
    >
      {[...choices, ...(isKnown ? [] : [[value, value] as const])].map(([choice, text]) => (
        <option key={choice} value={choice}>
          {text}
        </option>
      ))}
    </select>
  );
}

export type StateFilterProps = { readonly states: readonly ShownState[]; readonly param?: string };

/** Any of the states; none chosen: all. */
export function StateFilter({ states, param = "state" }: StateFilterProps) {
  const [params, change] = useParams();
  const chosen = new Set(params.getAll(param));
  const toggle = (state: string) =>
    change({ [param]: states.filter((one) => (one === state ? !chosen.has(one) : chosen.has(one))), at: null });
  return (
    <fieldset className="filter-states">
      <legend className="unseen">States</legend>
      {states.map((state) => (
        <button
          key={state}
          type="button"
          className={chosen.has(state) ? `filter-state filter-on-${state}` : "filter-state"}
          aria-pressed={chosen.has(state)}
          onClick={() => toggle(state)}
        >
          <StateIcon state={state} size={12} />
          {state}
        </button>
      ))}
    </fieldset>
  );
}
