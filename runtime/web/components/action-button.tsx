/**
 * A button that changes something: it says what will happen and asks, works, and tells what came of it. Where the key does not allow it, it says so
 * instead. A failure stays in the dialog, so that it can be tried again.
 */
import { useQueryClient } from "@tanstack/react-query";
import type { LucideIcon } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { Scope } from "../api/refusal.ts";
import { useRefusal } from "../api/session.tsx";
import { Button, type ButtonLook } from "./button.tsx";
import { Dialog } from "./dialog.tsx";
import { FailureLine } from "./failure-line.tsx";
import { type Toast, useToasts } from "./toast.tsx";

export type Done = Omit<Toast, "kind">;

export type ActionButtonProps = {
  /** On the button: `Cancel`. */
  readonly label: string;
  readonly icon?: LucideIcon;
  readonly look?: ButtonLook;
  readonly size?: "small";
  /** The words stand in the title only. */
  readonly iconOnly?: boolean;
  /** What the key has to have; default `operate`. Null: any key will do. */
  readonly scope?: Scope | null;
  /** It concerns all tenants. */
  readonly home?: boolean;
  /** Why it makes no sense now, such as "The task is over."; null: it does. */
  readonly refusal?: string | null;
  readonly confirm: ConfirmSpec;
  /** Does it, and tells what came of it. */
  readonly act: () => Promise<Done>;
  /** Heard once it is done. */
  readonly onDone?: () => void;
};

export type ConfirmSpec = {
  /** A question: `Cancel this task?` */
  readonly title: string;
  /** Exactly what will happen. */
  readonly body: ReactNode;
  /** On the button that does it. Default: the label. */
  readonly label?: string;
  readonly danger?: boolean;
};

export function ActionButton(props: ActionButtonProps) {
  const { label, icon, look, size, iconOnly = false, scope = "operate", home = false, refusal = null } = props;
  const [isOpen, setOpen] = useState(false);
  const keyRefusal = useRefusal(scope, home);
  return (
    <>
      <Button
        {...(icon !== undefined && { icon })}
        {...(look !== undefined && { look })}
        {...(size !== undefined && { size })}
        {...(iconOnly && { label })}
        refusal={keyRefusal ?? refusal}
        onClick={() => setOpen(true)}
      >
        {iconOnly ? undefined : label}
      </Button>
      {isOpen && (
        <ConfirmDialog
          {...props.confirm}
          label={props.confirm.label ?? label}
          act={props.act}
          onDone={props.onDone}
          onClose={() => setOpen(false)}
        />
      )}
    </>
  );
}

export type ConfirmDialogProps = ConfirmSpec & {
  readonly label: string;
  readonly act: () => Promise<Done>;
  readonly onClose: () => void;
  readonly onDone?: (() => void) | undefined;
  /** Why it cannot be confirmed yet, such as a count that has not come. */
  readonly refusal?: string | null;
};

/** The question alone, for what is not asked by a button. Shown for as long as it is rendered; everything that is shown is read again when it is done. */
export function ConfirmDialog({
  title,
  body,
  label,
  danger = false,
  act,
  onClose,
  onDone,
  refusal = null,
}: ConfirmDialogProps) {
  const { pending, error, start } = useAct(act, () => {
    onClose();
    onDone?.();
  });
  return (
    <Dialog
      title={title}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Back</Button>
          <Button look={danger ? "danger" : "primary"} pending={pending} refusal={refusal} onClick={start}>
            {label}
          </Button>
        </>
      }
    >
      {body}
      {error !== null && <FailureLine error={error} />}
    </Dialog>
  );
}

/** An action with its state. Everything that is shown is read again when it is done, also when it failed: it may have done a part. */
export function useAct(act: () => Promise<Done>, onDone: () => void) {
  const [pending, setPending] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const queries = useQueryClient();
  const { show } = useToasts();
  const start = async () => {
    setPending(true);
    setError(null);
    try {
      const done = await act();
      show({ kind: "done", ...done });
      onDone();
    } catch (thrown) {
      setError(thrown);
    } finally {
      setPending(false);
      // In the next turn: a page that the action has led away from, such as that of a schedule that was deleted, is gone by then.
      setTimeout(() => void queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" }));
    }
  };
  return { pending, error, start: () => void start() };
}
