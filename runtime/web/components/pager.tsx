/** The way to older entries of a list, and back to the newest. Where one is stands in the address, so the browser's way back leads to the page before. */
import ArrowLeft from "lucide-react/icons/arrow-left";
import ArrowRight from "lucide-react/icons/arrow-right";
import "./pager.css";
import { changed, useParams } from "../route/params.ts";
import { ButtonLink } from "./button.tsx";

export type PagerProps = {
  /** Where this page begins; null: at the newest. */
  readonly at: string | null;
  /** Where the next one does; null: this is the last. */
  readonly next: string | null;
  /** Default "Newest" and "Older". */
  readonly words?: { readonly first: string; readonly next: string };
};

const NEWEST_FIRST = { first: "Newest", next: "Older" } as const;

export function Pager({ at, next, words = NEWEST_FIRST }: PagerProps) {
  const [params] = useParams();
  if (at === null && next === null) return null;
  return (
    <nav className="pager" aria-label="Pages of the list">
      {at !== null && (
        <ButtonLink href={`?${changed(params, { at: null })}`} size="small" icon={ArrowLeft}>
          {words.first}
        </ButtonLink>
      )}
      {next !== null && (
        <ButtonLink href={`?${changed(params, { at: next })}`} size="small" icon={ArrowRight}>
          {words.next}
        </ButtonLink>
      )}
    </nav>
  );
}
