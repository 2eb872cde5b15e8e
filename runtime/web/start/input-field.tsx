/**
 * The input of a task or a job: a form made from its schema, or JSON for whoever likes that better and for what no form can show. What is typed as
 * JSON is sent as it stands, with every digit of its numbers.
 */
import "./input-field.css";
import { lazy, type Ref, Suspense, useImperativeHandle, useMemo, useRef, useState } from "react";
import { type ApiIssue, JsonText } from "../../client/index.ts";
import { Button } from "../components/button.tsx";
import { TextField } from "../components/field.tsx";
import { Skeleton } from "../components/skeleton.tsx";
import { formSchemaOf, isEmptyInput, startValueOf } from "./form-schema.ts";
import type { FormCheck } from "./schema-form.tsx";

const SchemaForm = lazy(() => import("./schema-form.tsx"));

export type InputHandle = {
  /** The input as it is sent; `undefined`: none. Null: something is wrong with it, which is shown now. */
  read(): { readonly input: unknown } | null;
};

export type InputFieldProps = {
  /** JSON schema of the input. Another task: another field, by a `key` of its own. */
  readonly schema: unknown;
  /** What the API found wrong, by paths inside the input. */
  readonly issues: readonly ApiIssue[];
  /** What it starts with. Default: the defaults of the schema. */
  readonly initial?: unknown;
  readonly ref: Ref<InputHandle>;
};

export function InputField({ schema, issues, initial, ref }: InputFieldProps) {
  const formSchema = useMemo(() => formSchemaOf(schema), [schema]);
  const [asJson, setAsJson] = useState(formSchema === null);
  const [value, setValue] = useState<unknown>(() => initial ?? startValueOf(schema));
  const [text, setText] = useState(() => (formSchema === null ? jsonOf(initial ?? null) : ""));
  const [problem, setProblem] = useState<string | undefined>();
  const form = useRef<FormCheck>(null);
  const isEmpty = isEmptyInput(schema);

  useImperativeHandle(
    ref,
    () => ({
      read() {
        if (isEmpty) return { input: {} };
        if (!asJson) return (form.current?.check() ?? true) ? { input: value } : null;
        if (text.trim() === "") return { input: undefined };
        const read = readJson(text);
        setProblem(read.kind === "problem" ? read.problem : undefined);
        return read.kind === "problem" ? null : { input: read.json };
      },
    }),
    [isEmpty, asJson, value, text],
  );

  if (isEmpty) return <p className="muted">It takes no input.</p>;
  const turn = (toJson: boolean) => {
    if (toJson) setText(jsonOf(value));
    else {
      const read = readJson(text);
      if (read.kind === "problem") return setProblem(read.problem);
      setValue(JSON.parse(read.json.text));
    }
    setProblem(undefined);
    setAsJson(toJson);
  };
  const told = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("\n");
  return (
    <div className="input-field">
      {formSchema !== null && (
        <fieldset className="input-kinds">
          <legend className="unseen">Write the input as</legend>
          <Button size="small" look="quiet" pressed={!asJson} onClick={() => turn(false)}>
            Form
          </Button>
          <Button size="small" look="quiet" pressed={asJson} onClick={() => turn(true)}>
            JSON
          </Button>
        </fieldset>
      )}
      {asJson || formSchema === null ? (
        <TextField
          label="Input as JSON"
          lines={10}
          mono
          value={text}
          onChange={setText}
          note={formSchema === null ? "Any JSON. Empty: no input." : "Numbers are sent with all their digits."}
          issue={problem ?? (told === "" ? undefined : told)}
        />
      ) : (
        <Suspense fallback={<FormSkeleton />}>
          <SchemaForm ref={form} schema={formSchema} value={value} onChange={setValue} issues={issues} />
        </Suspense>
      )}
    </div>
  );
}

function FormSkeleton() {
  return (
    <div className="input-field">
      <Skeleton width={90} />
      <Skeleton height={32} />
    </div>
  );
}

function jsonOf(value: unknown): string {
  return value === undefined || value === null ? "" : JSON.stringify(value, null, 2);
}

type Read = { readonly kind: "json"; readonly json: JsonText } | { readonly kind: "problem"; readonly problem: string };

function readJson(text: string): Read {
  try {
    return { kind: "json", json: new JsonText(text) };
  } catch (error) {
    // What JSON.parse throws is an Error.
    return { kind: "problem", problem: `Expected JSON: ${(error as Error).message}.` };
  }
}
