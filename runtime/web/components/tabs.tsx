/** Views of one page; which one is shown stands in the address. */
import "./tabs.css";
import { Link } from "wouter";
import { useParams } from "../route/params.ts";
import { shortCountText } from "./number-text.ts";

export type Tab<Name extends string> = {
  readonly name: Name;
  readonly label: string;
  readonly count?: number | undefined;
};

export type TabsProps<Name extends string> = {
  readonly tabs: readonly Tab<Name>[];
  readonly value: Name;
  /** What they choose: `Views of the run`. */
  readonly label: string;
  /** The name in the address. Default `tab`. */
  readonly param?: string;
};

/** Links, so that each can be opened beside the others. */
export function Tabs<Name extends string>({ tabs, value, label, param = "tab" }: TabsProps<Name>) {
  const [params] = useParams();
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(({ name, label: text, count }) => {
        const next = new URLSearchParams(params);
        next.set(param, name);
        return (
          <Link key={name} href={`?${next}`} replace className="tab" aria-current={name === value ? "page" : undefined}>
            {text}
            {count !== undefined && <span className="tab-count">{shortCountText(count)}</span>}
          </Link>
        );
      })}
    </nav>
  );
}

/** The tab that the address names, or the first. */
export function useTab<Name extends string>(names: readonly [Name, ...Name[]], param = "tab"): Name {
  const [params] = useParams();
  const asked = params.get(param);
  return names.find((name) => name === asked) ?? names[0];
}
