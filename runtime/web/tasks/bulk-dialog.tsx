/** Counts what an action on many tasks is for, asks, and does it. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { BulkOptions, TaskFilter } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { ConfirmDialog } from "../components/action-button.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { Progress } from "../components/meter.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Skeleton } from "../components/skeleton.tsx";
import { BULK, type BulkKind } from "./bulk-kind.ts";
import { filterText } from "./task-filter.ts";

export type BulkDialogProps = { readonly kind: BulkKind; readonly filter: TaskFilter; readonly onClose: () => void };

export function BulkDialog({ kind, filter, onClose }: BulkDialogProps) {
  const { client } = useApi();
  const [remaining, setRemaining] = useState<number | null>(null);
  const words = BULK[kind];
  const { data: counted, error } = useQuery({
    // Counted anew when it is opened, and after a refusal because more match by now.
    queryKey: ["bulk", kind, filter],
    queryFn: () => (kind === "cancel" ? client.tasks.countCancellable(filter) : client.tasks.countRetryable(filter)),
    staleTime: 0,
    gcTime: 0,
  });
  const act = async () => {
    if (counted === undefined) throw new Error("expected a count first");
    const options: BulkOptions = { ...counted, onProgress: setRemaining };
    const outcome = await (kind === "cancel"
      ? client.tasks.cancelMany(filter, options)
      : client.tasks.retryMany(filter, options));
    const { unchanged } = outcome;
    return {
      title: words.done(outcome),
      ...(unchanged > 0 && { detail: `${countedNoun(unchanged, "task")} had changed before.` }),
    };
  };
  const text = filterText({ states: words.usual, ...filter });
  return (
    <ConfirmDialog
      title={words.question}
      danger={kind === "cancel"}
      label={
        counted === undefined
          ? "Counting…"
          : `${kind === "cancel" ? "Cancel" : "Retry"} ${countedNoun(counted.matched, "task")}`
      }
      refusal={counted === undefined ? "They are being counted." : counted.matched === 0 ? "Nothing matches." : null}
      act={act}
      onClose={onClose}
      body={
        <>
          <p>
            {counted === undefined ? (
              <Skeleton width={90} />
            ) : (
              <strong data-count={counted.matched}>{countedNoun(counted.matched, "task")}</strong>
            )}{" "}
            {counted?.matched === 1 ? "matches" : "match"}: {text}.
          </p>
          <p>{words.effect} Tasks that come meanwhile are left alone.</p>
          {remaining !== null && counted !== undefined && counted.matched > 0 && (
            <Progress share={1 - Math.min(remaining, counted.matched) / counted.matched} />
          )}
          {error !== null && <FailureLine error={error} />}
        </>
      }
    />
  );
}
