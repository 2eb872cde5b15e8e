/** Stopping the claims from a queue, and letting them go on. */
import Pause from "lucide-react/icons/pause";
import Play from "lucide-react/icons/play";
import type { Queue } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { ActionButton } from "../components/action-button.tsx";
import { cappedText } from "../components/number-text.ts";

export function PauseQueue({ queue: { name, queued, running } }: { readonly queue: Queue }) {
  const { client } = useApi();
  return (
    <ActionButton
      label="Pause"
      icon={Pause}
      home
      confirm={{
        title: `Pause the queue ${name}?`,
        label: "Pause the queue",
        danger: true,
        body: (
          <>
            <p>
              Within about a second no worker claims from it, for <strong>all tenants</strong>. {cappedText(queued)}{" "}
              waiting stay where they are; {cappedText(running)} running go on.
            </p>
            <p>Tasks may still be submitted. Nothing is lost.</p>
          </>
        ),
      }}
      act={async () => {
        await client.queues.pause(name);
        return { title: `The queue ${name} is paused` };
      }}
    />
  );
}

export function ResumeQueue({ queue: { name, queued } }: { readonly queue: Queue }) {
  const { client } = useApi();
  return (
    <ActionButton
      label="Resume"
      icon={Play}
      look="primary"
      home
      confirm={{
        title: `Resume the queue ${name}?`,
        label: "Resume the queue",
        body: <p>Workers claim from it again. {cappedText(queued)} tasks wait.</p>,
      }}
      act={async () => {
        await client.queues.resume(name);
        return { title: `The queue ${name} goes on` };
      }}
    />
  );
}
