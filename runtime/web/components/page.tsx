/** The frame of a page: where one is, its name, what one can do, and what it shows. */
import "./page.css";
import { Fragment, type ReactNode, useEffect } from "react";
import { Link } from "wouter";

export type Crumb = { readonly label: string; readonly href: string };

export type PageProps = {
  /** Also the title of the tab. */
  readonly title: string;
  /** Shown in place of the title, such as an id with its state. */
  readonly heading?: ReactNode;
  /** The pages above this one. */
  readonly crumbs?: readonly Crumb[];
  readonly actions?: ReactNode;
  /** Below the heading, such as tabs or filters; stays in sight. */
  readonly bar?: ReactNode;
  /** Without margins, for a graph. */
  readonly full?: boolean;
  readonly children: ReactNode;
};

export function Page({ title, heading, crumbs = [], actions, bar, full = false, children }: PageProps) {
  useEffect(() => {
    document.title = `${title} · taskiq-aws`;
  }, [title]);
  return (
    <div className="page">
      <header className="page-head">
        <div className="page-line">
          <div className="page-titles">
            {crumbs.length > 0 && (
              <nav className="page-crumbs" aria-label="Above this page">
                {crumbs.map(({ label, href }) => (
                  <Fragment key={href}>
                    <Link href={href}>{label}</Link>
                    <span aria-hidden="true">/</span>
                  </Fragment>
                ))}
              </nav>
            )}
            <h1>{heading ?? title}</h1>
          </div>
          {actions !== undefined && <div className="page-actions">{actions}</div>}
        </div>
        {bar !== undefined && <div className="page-bar">{bar}</div>}
      </header>
      <div className={full ? "page-body page-full" : "page-body"}>{children}</div>
    </div>
  );
}
