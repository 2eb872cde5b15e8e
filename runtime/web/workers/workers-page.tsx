/** The workers: their slots, versions and heartbeats, and those that are lost. */
import Server from "lucide-react/icons/server";
import { Link } from "wouter";
import type { Worker } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { usePolled } from "../api/use-polled.ts";
import { Card, Stat, Stats } from "../components/card.tsx";
import { Meter } from "../components/meter.tsx";
import { Empty, ErrorBox } from "../components/notice.tsx";
import { countText, percentText } from "../components/number-text.ts";
import { Page } from "../components/page.tsx";
import { StateBadge } from "../components/state-badge.tsx";
import { type Column, Table } from "../components/table.tsx";
import { Time } from "../components/time.tsx";
import { sumOf, workerHref } from "./worker-sum.ts";

const COLUMNS: readonly Column<Worker>[] = [
  { key: "state", title: "State", width: "118px", cell: ({ state }) => <StateBadge state={state} /> },
  { key: "name", title: "Worker", cell: ({ name }) => <Link href={workerHref(name)}>{name}</Link> },
  {
    key: "slots",
    title: "Slots in use",
    width: "190px",
    hide: "small",
    cell: (worker) => <WorkerSlots worker={worker} />,
  },
  {
    key: "queues",
    title: "Queues",
    width: "20%",
    hide: "medium",
    cell: ({ queues }) => <span title={queues.join(", ")}>{queues.join(", ")}</span>,
  },
  { key: "version", title: "Version", width: "110px", hide: "small", cell: (worker) => <Version worker={worker} /> },
  {
    key: "started",
    title: "Started",
    width: "92px",
    align: "end",
    hide: "medium",
    cell: ({ startedAt }) => <Time at={startedAt} />,
  },
  { key: "beat", title: "Heartbeat", width: "92px", align: "end", cell: ({ beatAt }) => <Time at={beatAt} /> },
];

export default function WorkersPage() {
  const { client } = useApi();
  const refusal = useRefusal("read", true);
  const { data, error, refetch } = usePolled({
    key: ["workers"],
    look: () => client.workers.list(),
    enabled: refusal === null,
  });
  if (refusal !== null) {
    return (
      <Page title="Workers">
        <Card>
          <Empty icon={Server} title="The workers serve all tenants">
            {refusal}
          </Empty>
        </Card>
      </Page>
    );
  }
  const sum = sumOf(data ?? []);
  return (
    <Page title="Workers">
      <Stats>
        <Stat label="Alive" note={sum.draining > 0 ? `and ${sum.draining} draining` : "take new work"}>
          {data === undefined ? "–" : countText(sum.alive)}
        </Stat>
        <Stat label="Slots in use" note={sum.slots === 0 ? "there are none" : percentText(sum.running / sum.slots)}>
          {data === undefined ? "–" : `${countText(sum.running)} of ${countText(sum.slots)}`}
        </Stat>
        <Stat label="Lost" note="three heartbeats are missing">
          {data === undefined ? "–" : countText(sum.lost)}
        </Stat>
        <Stat label="Versions" note={sum.versions.length > 1 ? "a deployment is under way" : "all the same"}>
          {sum.versions.join(", ") || "–"}
        </Stat>
      </Stats>
      <Card flush>
        {data === undefined && error !== null ? (
          <ErrorBox title="The workers could not be read" error={error} retry={() => void refetch()} />
        ) : (
          <Table
            label="Workers"
            rows={data}
            columns={COLUMNS}
            keyOf={({ name }) => name}
            hrefOf={({ name }) => workerHref(name)}
            empty={
              <Empty icon={Server} title="No worker runs" command="npx taskiq-aws worker start">
                Tasks wait until one does. Start one, or look at the worker service of the deployment:
              </Empty>
            }
          />
        )}
      </Card>
    </Page>
  );
}

export function WorkerSlots({ worker: { running, slots, state } }: { readonly worker: Worker }) {
  return (
    <span className="row">
      <span className="nowrap">
        {running} <span className="faint">of {slots}</span>
      </span>
      <Meter
        parts={[{ tone: state === "lost" ? "failed" : "running", value: running, label: "running" }]}
        max={slots}
        label={`${running} of ${slots} slots in use`}
      />
    </span>
  );
}

function Version({ worker: { version, revision } }: { readonly worker: Worker }) {
  return (
    <>
      {version}
      {revision !== null && <span className="faint"> :{revision}</span>}
    </>
  );
}
