/** What lies in the dead-letter queue and why, as a dry run of the redrive tells it; and the redrive itself. */
import { useQuery } from "@tanstack/react-query";
import Recycle from "lucide-react/icons/recycle";
import Search from "lucide-react/icons/search";
import { useState } from "react";
import type { Queue } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { Button } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { countedNoun } from "../components/number-text.ts";
import { RowsSkeleton } from "../components/skeleton.tsx";
import { ReasonTable } from "./reason-table.tsx";
import { RedriveDialog } from "./redrive-dialog.tsx";
import { leftText } from "./redrive-text.ts";

export function DeadLetterCard({ queue }: { readonly queue: Queue }) {
  const { client } = useApi();
  const [isAsked, setAsked] = useState(false);
  const [isOpen, setOpen] = useState(false);
  const refusal = useRefusal("operate");
  const { name, deadLettered } = queue;
  const { data, error, isFetching, refetch } = useQuery({
    // Looking receives the messages, and hides them from others for a while: only where somebody asks.
    queryKey: ["dead letters", name],
    queryFn: () => client.queues.foreseeRedrive(name),
    enabled: isAsked,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const count = deadLettered === null ? "" : ` About ${countedNoun(deadLettered, "message")} now.`;
  const look = () => (isAsked ? void refetch() : setAsked(true));
  return (
    <Card
      title="Dead letters"
      aside={
        <>
          <Button size="small" icon={Search} refusal={refusal} pending={isFetching} onClick={look}>
            Look inside
          </Button>
          <Button
            size="small"
            icon={Recycle}
            refusal={refusal ?? (deadLettered === 0 ? "The dead-letter queue is empty." : null)}
            onClick={() => setOpen(true)}
          >
            Redrive…
          </Button>
        </>
      }
    >
      <div className="stack">
        <p className="muted">
          Tasks that failed for good, messages that SQS gave up, and messages that no task can come of.{count}
        </p>
        {error !== null && <FailureLine error={error} />}
        {isFetching && data === undefined && <RowsSkeleton rows={3} />}
        {data !== undefined && (
          <>
            <ReasonTable report={data} />
            <p className="muted">{leftText(data)}</p>
          </>
        )}
      </div>
      {isOpen && <RedriveDialog name={name} onClose={() => setOpen(false)} onDone={() => isAsked && void refetch()} />}
    </Card>
  );
}
