/** Asks how the dead letters shall go back to work, counts them first, does it, and shows how far it is. */
import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import type { RedriveReport } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useSession } from "../api/session.tsx";
import { useAct } from "../components/action-button.tsx";
import { Button } from "../components/button.tsx";
import { Dialog } from "../components/dialog.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { CheckField, TextField } from "../components/field.tsx";
import { countedNoun } from "../components/number-text.ts";
import { Skeleton } from "../components/skeleton.tsx";
import { doneText, handled, leftText } from "./redrive-text.ts";

const RATE = { min: 1, max: 500, default: 50 } as const;

export type RedriveDialogProps = { readonly name: string; readonly onClose: () => void; readonly onDone: () => void };

export function RedriveDialog({ name, onClose, onDone }: RedriveDialogProps) {
  const { client } = useApi();
  const { home } = useSession();
  const [rate, setRate] = useState(String(RATE.default));
  const [discards, setDiscards] = useState(false);
  const [soFar, setSoFar] = useState<RedriveReport | null>(null);
  const stopping = useRef(new AbortController());
  const { data: foreseen, error: countError } = useQuery({
    queryKey: ["redrive", name],
    queryFn: () => client.queues.foreseeRedrive(name),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const isRateWrong = !/^\d+$/.test(rate) || Number(rate) < RATE.min || Number(rate) > RATE.max;
  const { pending, error, start } = useAct(
    async () => {
      stopping.current = new AbortController();
      const { signal } = stopping.current;
      const options = { ratePerSecond: Number(rate), discardPoison: discards, onUpdate: setSoFar, signal };
      const report = await client.queues.redrive(name, options).catch((thrown: unknown) => {
        if (signal.aborted) return null;
        throw thrown;
      });
      const link = { label: "Show the tasks of the queue", href: `/tasks?${new URLSearchParams({ queue: name })}` };
      if (report === null) return { title: "The redrive was stopped", detail: "What it had done stays done.", link };
      return { title: doneText(report), detail: leftText(report), link };
    },
    () => {
      onClose();
      onDone();
    },
  );
  const count = foreseen === undefined ? undefined : foreseen.redriven + foreseen.rung;
  return (
    <Dialog
      title={`Redrive ${name}?`}
      onClose={pending ? () => stopping.current.abort() : onClose}
      actions={
        <>
          <Button onClick={pending ? () => stopping.current.abort() : onClose}>{pending ? "Stop" : "Back"}</Button>
          <Button
            look="primary"
            pending={pending}
            refusal={
              foreseen === undefined && countError === null
                ? "They are being counted."
                : isRateWrong
                  ? `Expected a rate from ${RATE.min} to ${RATE.max}.`
                  : null
            }
            onClick={start}
          >
            {count === undefined
              ? "Redrive"
              : `Redrive ${countedNoun(count, "task")}${foreseen?.done === false ? " and more" : ""}`}
          </Button>
        </>
      }
    >
      <p>
        {foreseen === undefined ? (
          countError === null && <Skeleton width="70%" />
        ) : (
          <>
            <strong>{countedNoun(foreseen.redriven, "task")}</strong> will be queued again with new budgets of attempts
            {foreseen.rung > 0 && `, ${countedNoun(foreseen.rung, "doorbell")} rung again`}
            {foreseen.deleted > 0 &&
              `, ${countedNoun(foreseen.deleted, "message")} deleted because the task has an end already`}
            . {leftText(foreseen)}
          </>
        )}
      </p>
      <TextField
        label="Tasks a second"
        type="number"
        min={RATE.min}
        max={RATE.max}
        value={rate}
        onChange={setRate}
        issue={isRateWrong ? `Expected a whole number from ${RATE.min} to ${RATE.max}.` : undefined}
        note="So that what they failed of is not overrun."
      />
      {home && foreseen !== undefined && foreseen.poison > 0 && (
        <CheckField
          label={`Delete ${countedNoun(foreseen.poison, "message")} that no task can come of, for good`}
          checked={discards}
          onChange={setDiscards}
        />
      )}
      {pending && (
        <p role="status">
          {soFar === null ? "It begins…" : `So far: ${doneText(soFar)}.`}{" "}
          {soFar !== null && handled(soFar) > 0 && "It goes on until the queue is empty."}
        </p>
      )}
      {[error, countError].map((one) => one !== null && <FailureLine key={String(one)} error={one} />)}
    </Dialog>
  );
}
