/** When the new schedule shall fire. */
import { SelectField, TextField } from "../components/field.tsx";
import type { FieldIssues, ScheduleFields } from "./schedule-form.ts";

export type TimingFieldsProps = {
  readonly fields: ScheduleFields;
  readonly issues: FieldIssues;
  readonly onChange: (changes: Partial<ScheduleFields>) => void;
};

const KINDS = [
  ["cron", "at times, by a cron expression"],
  ["interval", "every so often"],
] as const;

export function TimingFields({ fields, issues, onChange }: TimingFieldsProps) {
  return (
    <>
      <SelectField
        label="When"
        value={fields.kind}
        onChange={(kind) => onChange({ kind: kind === "interval" ? "interval" : "cron" })}
        choices={KINDS}
      />
      {fields.kind === "cron" ? (
        <div className="form-pair">
          <TextField
            label="Cron expression"
            mono
            value={fields.cron}
            onChange={(cron) => onChange({ cron })}
            issue={issues.cron}
            note="Minute, hour, day of the month, month, day of the week."
          />
          <TextField
            label="Time zone"
            value={fields.timeZone}
            onChange={(timeZone) => onChange({ timeZone })}
            issue={issues.timeZone}
            suggestions={Intl.supportedValuesOf("timeZone")}
          />
        </div>
      ) : (
        <TextField
          label="Seconds from one to the next"
          type="number"
          min={1}
          value={fields.intervalSeconds}
          onChange={(intervalSeconds) => onChange({ intervalSeconds })}
          issue={issues.intervalSeconds}
        />
      )}
    </>
  );
}
