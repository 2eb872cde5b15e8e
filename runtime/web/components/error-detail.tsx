/** Why a task or an attempt failed. */
import "./error-detail.css";
import type { TaskError } from "../../model/task.ts";
import { Copy } from "./copy.tsx";

export function ErrorDetail({ error: { code, type, message, stack } }: { readonly error: TaskError }) {
  return (
    <div className="error-detail">
      <p className="error-message">
        <code>{code}</code>
        {type !== "" && type !== code && <span className="muted"> {type}</span>}
      </p>
      <p className="error-text">{message}</p>
      {stack !== undefined && (
        <details>
          <summary>Stack</summary>
          <div className="error-stack">
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, which takes the keyboard too */}
            <section tabIndex={0} aria-label="Stack">
              <pre>{stack}</pre>
            </section>
            <Copy text={stack} what="stack" />
          </div>
        </details>
      )}
    </div>
  );
}
