/** The same for all tasks that the filter matches: they are counted first, and no more than that are changed. */
import Ban from "lucide-react/icons/ban";
import RotateCcw from "lucide-react/icons/rotate-ccw";
import { useState } from "react";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { Button } from "../components/button.tsx";
import { useParams } from "../route/params.ts";
import { BulkDialog } from "./bulk-dialog.tsx";
import { BULK, type BulkKind } from "./bulk-kind.ts";
import { narrowed, readTaskFilter } from "./task-filter.ts";

const ICONS = { cancel: Ban, retry: RotateCcw } as const;

export function BulkActions() {
  const { clock } = useApi();
  const [params] = useParams();
  const refusal = useRefusal("operate");
  const [open, setOpen] = useState<{ kind: BulkKind; nowMs: number } | null>(null);
  // Until the dialog opens it only matters which states there are.
  const { filter } = readTaskFilter(params, 0);
  const chosen = open === null ? undefined : readTaskFilter(params, open.nowMs).filter;
  return (
    <>
      {(["cancel", "retry"] as const).map((kind) => (
        <Button
          key={kind}
          icon={ICONS[kind]}
          refusal={refusal ?? (narrowed(filter, BULK[kind].states) === undefined ? BULK[kind].noneChosen : null)}
          onClick={() => setOpen({ kind, nowMs: clock.wallMs() })}
        >
          {BULK[kind].label}
        </Button>
      ))}
      {open !== null && chosen !== undefined && (
        <BulkDialog
          kind={open.kind}
          filter={narrowed(chosen, BULK[open.kind].states) ?? chosen}
          onClose={() => setOpen(null)}
        />
      )}
    </>
  );
}
