/** The form that starts a task or a run: input, options, what will happen, and what the API has to say to it. */
import "./start-form.css";
import Play from "lucide-react/icons/play";
import { type FormEvent, type ReactNode, useRef, useState } from "react";
import { ApiError } from "../../client/index.ts";
import { useRefusal } from "../api/session.tsx";
import type { Done } from "../components/action-button.tsx";
import { useAct } from "../components/action-button.tsx";
import { Button } from "../components/button.tsx";
import { Card } from "../components/card.tsx";
import { FailureLine } from "../components/failure-line.tsx";
import { InputField, type InputHandle } from "./input-field.tsx";
import { OptionFields } from "./option-fields.tsx";
import { NO_ISSUES, type PlacedIssues, placeIssues } from "./start-issues.ts";
import { NO_OPTIONS, type OptionName, type Options, type OptionTexts, readOptions } from "./start-options.ts";

export type StartFormProps = {
  readonly inputSchema: unknown;
  readonly initial?: unknown;
  /** Those that this has, and what each is by default. */
  readonly options: Partial<Readonly<Record<OptionName, string>>>;
  /** Of more kinds than these, such as the mode of a run. */
  readonly moreOptions?: ReactNode;
  /** Above the button: what will happen. */
  readonly summary: ReactNode;
  readonly label: string;
  /** Throws ApiError. */
  readonly start: (input: unknown, options: Options) => Promise<Done>;
  /** Heard once it was started. */
  readonly onStarted: () => void;
};

export function StartForm(props: StartFormProps) {
  const { inputSchema, initial, options, moreOptions, summary, label, start, onStarted } = props;
  const [texts, setTexts] = useState<OptionTexts>(NO_OPTIONS);
  const [problems, setProblems] = useState<Partial<Record<OptionName, string>>>({});
  const [issues, setIssues] = useState<PlacedIssues>(NO_ISSUES);
  const input = useRef<InputHandle>(null);
  const wanted = useRef<{ input: unknown; options: Options }>(null);
  const refusal = useRefusal("enqueue");
  const {
    pending,
    error,
    start: act,
  } = useAct(async () => {
    try {
      // It was read just before.
      const { input: value, options: read } = wanted.current ?? { input: undefined, options: {} };
      return await start(value, read);
    } catch (thrown) {
      if (thrown instanceof ApiError) setIssues(placeIssues(thrown.issues));
      throw thrown;
    }
  }, onStarted);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (pending || refusal !== null) return;
    setIssues(NO_ISSUES);
    const read = readOptions(texts);
    setProblems(read.kind === "problems" ? read.problems : {});
    const value = input.current?.read() ?? null;
    if (value === null || read.kind === "problems") return;
    wanted.current = { input: value.input, options: read.options };
    act();
  };
  return (
    <form className="start-form" onSubmit={submit} noValidate>
      <Card title="Input">
        <InputField
          ref={input}
          schema={inputSchema}
          issues={issues.input}
          {...(initial !== undefined && { initial })}
        />
      </Card>
      <Card title="Options">
        <OptionFields
          defaults={options}
          texts={texts}
          onChange={setTexts}
          issues={{ ...issues.options, ...problems }}
        />
        {moreOptions}
      </Card>
      <div className="start-end">
        {error !== null && <FailureLine error={error} />}
        <div className="start-line">
          <p className="muted grow">{summary}</p>
          <Button submit look="primary" icon={Play} pending={pending} refusal={refusal}>
            {label}
          </Button>
        </div>
      </div>
    </form>
  );
}
