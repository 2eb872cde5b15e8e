/** A form for a new schedule. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "../../client/index.ts";
import { useApi } from "../api/api-provider.tsx";
import { useRefusal } from "../api/session.tsx";
import { useNames } from "../api/use-names.ts";
import { useAct } from "../components/action-button.tsx";
import { Button, ButtonLink } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { CheckField, SelectField, TextField } from "../components/field.tsx";
import { Page } from "../components/page.tsx";
import { navigate } from "../route/hash-location.ts";
import { EMPTY_SCHEDULE, type FieldIssues, fieldIssues, readSchedule, type ScheduleFields } from "./schedule-form.ts";
import { CATCH_UP_TEXT, OVERLAP_TEXT, scheduleHref } from "./schedule-text.ts";
import { TimingFields } from "./timing-fields.tsx";

const CRUMBS = [{ label: "Schedules", href: "/schedules" }];
const CATCH_UPS = Object.entries(CATCH_UP_TEXT);
const OVERLAPS = Object.entries(OVERLAP_TEXT);

export default function NewSchedulePage() {
  const { client } = useApi();
  const names = useNames();
  const refusal = useRefusal("enqueue");
  const [fields, setFields] = useState(EMPTY_SCHEDULE);
  const [wrong, setWrong] = useState<FieldIssues>({});
  const set = (changes: Partial<ScheduleFields>) => setFields((before) => ({ ...before, ...changes }));
  const definition = useDefinition(fields.task);

  const { pending, error, start } = useAct(
    async () => {
      const read = readSchedule(fields);
      if (read.kind === "wrong") throw new Error("expected a form that was checked before");
      const { scheduleId, name } = await client.schedules.create(read.schedule);
      navigate(scheduleHref(scheduleId));
      return { title: `The schedule ${name} is made` };
    },
    () => {},
  );
  const told = error instanceof ApiError ? fieldIssues(error.issues) : {};
  const issues = { ...told, ...wrong };
  const submit = () => {
    const read = readSchedule(fields);
    setWrong(read.kind === "wrong" ? read.issues : {});
    if (read.kind === "schedule" && refusal === null && !pending) start();
  };
  const field = (name: keyof ScheduleFields & string) => ({
    value: String(fields[name]),
    onChange: (value: string) => set({ [name]: value }),
    issue: issues[name],
  });

  return (
    <Page title="New schedule" crumbs={CRUMBS}>
      <Card>
        <form
          className="form"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <TextField
            label="Name"
            {...field("name")}
            placeholder="nightly-report"
            note="Unique. Shown wherever its tasks are."
          />
          <SelectField
            label="Task"
            {...field("task")}
            choices={[["", "Choose a task"], ...names.tasks.map((name) => [name, name] as const)]}
            note={definition?.description ?? undefined}
          />
          <TextField
            label="Input"
            {...field("input")}
            lines={5}
            placeholder={
              definition === undefined ? "{}" : JSON.stringify(definition.inputSchema, null, 2).slice(0, 400)
            }
            note="JSON; empty: none. It is checked against the schema of the task."
          />
          <TimingFields fields={fields} issues={issues} onChange={set} />
          <div className="form-pair">
            <SelectField label="Missed times" {...field("catchUp")} choices={CATCH_UPS} />
            <SelectField label="Overlap" {...field("overlap")} choices={OVERLAPS} />
          </div>
          <div className="form-pair">
            <SelectField
              label="Queue"
              {...field("queue")}
              choices={[["", "That of the task"], ...names.queues.map((name) => [name, name] as const)]}
            />
            <TextField
              label="Priority"
              {...field("priority")}
              type="number"
              min={-100}
              max={100}
              placeholder="That of the task"
            />
          </div>
          <TextField label="Labels" {...field("labels")} placeholder="team=data, env=prod" />
          <CheckField
            label="Make it paused: it starts when it is resumed"
            checked={fields.paused}
            onChange={(paused) => set({ paused })}
          />
          {error !== null && <FailureLine error={error} />}
          <div className="row">
            <Button look="primary" submit refusal={refusal} pending={pending}>
              Make the schedule
            </Button>
            <ButtonLink href="/schedules">Back</ButtonLink>
          </div>
        </form>
      </Card>
    </Page>
  );
}

function useDefinition(task: string) {
  const { client } = useApi();
  const { data } = useQuery({
    queryKey: ["task definitions"],
    queryFn: () => client.taskDefinitions(),
    staleTime: Number.POSITIVE_INFINITY,
  });
  return data?.find(({ name }) => name === task);
}
