/** Fields of forms: the name above, what it means below, and what is wrong with it. */
import "./field.css";
import { type ReactNode, useId } from "react";

export type FieldProps = {
  readonly label: string;
  readonly note?: ReactNode;
  /** What is wrong with it. */
  readonly issue?: string | undefined;
};

export type TextFieldProps = FieldProps & {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
  readonly type?: "text" | "number" | "password" | "datetime-local" | "search";
  readonly required?: boolean;
  readonly autoFocus?: boolean;
  /** More than one of them: a field of many lines. */
  readonly lines?: number;
  /** To choose from, beside any other text. */
  readonly suggestions?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  readonly mono?: boolean;
};

export function TextField(props: TextFieldProps) {
  const {
    label,
    note,
    issue,
    value,
    onChange,
    placeholder,
    type = "text",
    lines = 1,
    suggestions,
    mono = false,
  } = props;
  const id = useId();
  const shared = {
    id,
    value,
    placeholder,
    required: props.required,
    className: mono ? "input mono" : "input",
    "aria-invalid": issue === undefined ? undefined : true,
    "aria-describedby": `${id}-note`,
  } as const;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {lines > 1 ? (
        <textarea {...shared} rows={lines} spellCheck={false} onChange={(event) => onChange(event.target.value)} />
      ) : (
        <input
          {...shared}
          type={type}
          min={props.min}
          max={props.max}
          // biome-ignore lint/a11y/noAutofocus: the one field of a page or dialog that was asked for
          autoFocus={props.autoFocus}
          autoComplete="off"
          spellCheck={false}
          list={suggestions === undefined ? undefined : `${id}-list`}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
      {suggestions !== undefined && (
        <datalist id={`${id}-list`}>
          {suggestions.map((text) => (
            <option key={text} value={text} />
          ))}
        </datalist>
      )}
      <FieldNotes id={`${id}-note`} note={note} issue={issue} />
    </div>
  );
}

export type Choice = readonly [value: string, label: string];

export type SelectFieldProps = FieldProps & {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly choices: readonly Choice[];
};

export function SelectField({ label, note, issue, value, onChange, choices }: SelectFieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select
        id={id}
        className="input"
        value={value}
        aria-describedby={`${id}-note`}
        onChange={(event) => onChange(event.target.value)}
      >
        {choices.map(([choice, text]) => (
          <option key={choice} value={choice}>
            {text}
          </option>
        ))}
      </select>
      <FieldNotes id={`${id}-note`} note={note} issue={issue} />
    </div>
  );
}

export type CheckFieldProps = {
  readonly label: ReactNode;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
};

export function CheckField({ label, checked, onChange }: CheckFieldProps) {
  return (
    <label className="check">
      <input type="checkbox" checked={checked} onChange={(event) => onChange(event.target.checked)} />
      <span>{label}</span>
    </label>
  );
}

function FieldNotes({
  id,
  note,
  issue,
}: {
  readonly id: string;
  readonly note: ReactNode;
  readonly issue: string | undefined;
}) {
  return (
    <span id={id}>
      {issue !== undefined && <span className="field-issue">{issue}</span>}
      {issue !== undefined && note !== undefined && <br />}
      {note !== undefined && <span className="field-note">{note}</span>}
    </span>
  );
}
