/** What came of an action, said once at the edge of the page. A failure stays until it is closed. */
import "./toast.css";
import Check from "lucide-react/icons/check";
import TriangleAlert from "lucide-react/icons/triangle-alert";
import X from "lucide-react/icons/x";
import { createContext, type ReactNode, use, useCallback, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { describeFailure } from "./failure.ts";

export type Toast = {
  readonly kind: "done" | "failed";
  readonly title: string;
  readonly detail?: string;
  readonly link?: { readonly label: string; readonly href: string };
};

export type Toasts = {
  show(toast: Toast): void;
  /** @param what what was tried: `Cancel the task` */
  showFailure(what: string, error: unknown): void;
};

type Shown = Toast & { readonly id: number };

const SHOWN_MS = 8_000;
const MOST = 4;

const ToastContext = createContext<Toasts | null>(null);

export function ToastProvider({ children }: { readonly children: ReactNode }) {
  const [shown, setShown] = useState<readonly Shown[]>([]);
  const lastId = useRef(0);
  const close = useCallback((id: number) => setShown((all) => all.filter((one) => one.id !== id)), []);
  const toasts = useMemo((): Toasts => {
    const show = (toast: Toast) => {
      lastId.current += 1;
      const id = lastId.current;
      setShown((all) => [...all, { ...toast, id }].slice(-MOST));
      if (toast.kind === "done") setTimeout(() => close(id), SHOWN_MS);
    };
    return {
      show,
      showFailure(what, error) {
        const { code, detail } = describeFailure(error);
        show({ kind: "failed", title: `${what}: ${code}`, detail });
      },
    };
  }, [close]);
  return (
    <ToastContext value={toasts}>
      {children}
      <section className="toasts" aria-label="Messages" aria-live="polite">
        {shown.map((toast) => (
          <ToastCard key={toast.id} toast={toast} close={() => close(toast.id)} />
        ))}
      </section>
    </ToastContext>
  );
}

export function useToasts(): Toasts {
  const toasts = use(ToastContext);
  if (toasts === null) throw new Error("expected to be inside ToastProvider");
  return toasts;
}

function ToastCard({
  toast: { kind, title, detail, link },
  close,
}: {
  readonly toast: Shown;
  readonly close: () => void;
}) {
  const Icon = kind === "done" ? Check : TriangleAlert;
  return (
    <div className={`toast toast-${kind}`} data-toast={kind}>
      <Icon size={16} aria-hidden="true" />
      <div className="grow">
        <strong>{title}</strong>
        {detail !== undefined && <p>{detail}</p>}
        {link !== undefined && (
          <Link className="link" href={link.href} onClick={close}>
            {link.label}
          </Link>
        )}
      </div>
      <button type="button" className="copy" aria-label="Close message" onClick={close}>
        <X size={14} aria-hidden="true" />
      </button>
    </div>
  );
}
