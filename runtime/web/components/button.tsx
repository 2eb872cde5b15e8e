/** Buttons, and links that look like them. A button that cannot be used says why. */
import "./button.css";
import type { LucideIcon } from "lucide-react";
import { type ReactNode, type Ref, useId } from "react";
import { Link } from "wouter";

export type ButtonLook = "plain" | "primary" | "danger" | "quiet";

export type ButtonProps = {
  readonly children?: ReactNode;
  readonly icon?: LucideIcon;
  /** Default `plain`. */
  readonly look?: ButtonLook;
  readonly size?: "small";
  /** What an icon without words means. */
  readonly label?: string;
  readonly onClick?: () => void;
  /** Why it cannot be used; null: it can. It stays in reach of the keyboard, so that the reason can be read. */
  readonly refusal?: string | null;
  /** Its work goes on. */
  readonly pending?: boolean;
  readonly submit?: boolean;
  readonly expanded?: boolean;
  readonly pressed?: boolean;
  readonly ref?: Ref<HTMLButtonElement>;
};

export function Button(props: ButtonProps) {
  const { children, icon: Icon, look = "plain", size, label, onClick, refusal = null, pending = false } = props;
  const reasonId = useId();
  const isBarred = refusal !== null || pending;
  return (
    <button
      ref={props.ref}
      type={props.submit === true ? "submit" : "button"}
      className={`button button-${look} ${size === "small" ? "button-small" : ""} ${children === undefined ? "button-icon" : ""}`}
      onClick={isBarred ? (event) => event.preventDefault() : onClick}
      aria-disabled={isBarred || undefined}
      aria-busy={pending || undefined}
      aria-label={label}
      aria-describedby={refusal === null ? undefined : reasonId}
      aria-expanded={props.expanded}
      aria-pressed={props.pressed}
      title={refusal ?? label}
    >
      {Icon !== undefined && <Icon size={15} aria-hidden="true" />}
      {children !== undefined && <span>{children}</span>}
      {refusal !== null && (
        <span id={reasonId} hidden>
          {refusal}
        </span>
      )}
    </button>
  );
}

export type ButtonLinkProps = Pick<ButtonProps, "children" | "icon" | "look" | "size" | "label"> & {
  /** A page of the dashboard; an address with `http` leads out of it, to a tab of its own. */
  readonly href: string;
};

export function ButtonLink({ children, icon: Icon, look = "plain", size, label, href }: ButtonLinkProps) {
  const className = `button button-${look} ${size === "small" ? "button-small" : ""} ${children === undefined ? "button-icon" : ""}`;
  const content = (
    <>
      {Icon !== undefined && <Icon size={15} aria-hidden="true" />}
      {children !== undefined && <span>{children}</span>}
    </>
  );
  return /^https?:/.test(href) ? (
    <a className={className} href={href} target="_blank" rel="noreferrer" aria-label={label} title={label}>
      {content}
    </a>
  ) : (
    <Link className={className} href={href} aria-label={label} title={label}>
      {content}
    </Link>
  );
}
