/** What a page shows in place of its content: that there is nothing yet, or why it cannot be shown; and what to do. */
import "./notice.css";
import type { LucideIcon } from "lucide-react";
import TriangleAlert from "lucide-react/icons/triangle-alert";
import type { ReactNode } from "react";
import { Button } from "./button.tsx";
import { Command } from "./copy.tsx";
import { describeFailure } from "./failure.ts";

export type EmptyProps = {
  readonly icon?: LucideIcon;
  readonly title: string;
  /** What to do. */
  readonly children?: ReactNode;
  /** That does it, in a terminal. */
  readonly command?: string;
  /** Buttons that do it. */
  readonly actions?: ReactNode;
};

export function Empty({ icon: Icon, title, children, command, actions }: EmptyProps) {
  return (
    <div className="notice">
      {Icon !== undefined && <Icon size={26} strokeWidth={1.6} aria-hidden="true" />}
      <h2>{title}</h2>
      {children !== undefined && <p>{children}</p>}
      {command !== undefined && <Command text={command} />}
      {actions !== undefined && <div className="row wrap">{actions}</div>}
    </div>
  );
}

export type ErrorBoxProps = {
  /** What could not be done: `The tasks could not be read`. */
  readonly title: string;
  readonly error: unknown;
  readonly retry?: () => void;
};

export function ErrorBox({ title, error, retry }: ErrorBoxProps) {
  const { code, detail, requestId } = describeFailure(error);
  return (
    <div className="notice notice-error" role="alert">
      <TriangleAlert size={26} strokeWidth={1.6} aria-hidden="true" />
      <h2>{title}</h2>
      <p className="notice-detail">{detail}</p>
      <p className="faint">
        <code>{code}</code>
        {requestId !== null && (
          <>
            {" "}
            · in the log of the API as <code>{requestId}</code>
          </>
        )}
      </p>
      {retry !== undefined && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}
