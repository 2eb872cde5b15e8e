/** The form for one schema. A file of its own, so that the library comes only where a form is shown. */
import "./schema-form.css";
// Not from the index of the package, which needs the compiling validator for its own tests.
import Form from "@rjsf/core/lib/components/Form.js";
import type { RJSFSchema, RJSFValidationError, UiSchema } from "@rjsf/utils";
import { type Ref, useImperativeHandle, useMemo, useRef } from "react";
import type { ApiIssue } from "../../client/index.ts";
import type { JsonSchema } from "./form-schema.ts";
import { createFormValidator, errorSchemaOf } from "./form-validator.ts";
import { SCHEMA_TEMPLATES } from "./schema-templates.tsx";

export type FormCheck = {
  /** Shows what is wrong at its fields; true: nothing. */
  check(): boolean;
};

export type SchemaFormProps = {
  /** As form-schema.ts makes them. */
  readonly schema: JsonSchema;
  readonly value: unknown;
  readonly onChange: (value: unknown) => void;
  /** What the API found wrong, by paths inside the value. */
  readonly issues: readonly ApiIssue[];
  readonly ref: Ref<FormCheck>;
};

const UI: UiSchema = { "ui:submitButtonOptions": { norender: true } };

export default function SchemaForm({ schema, value, onChange, issues, ref }: SchemaFormProps) {
  const form = useRef<Form>(null);
  useImperativeHandle(ref, () => ({ check: () => form.current?.validateForm() ?? true }), []);
  const validator = useMemo(() => createFormValidator<unknown>(), []);
  const extraErrors = useMemo(() => errorSchemaOf(issues), [issues]);
  return (
    <div className="schema-form">
      <Form
        ref={form}
        // The page has a form around this one.
        tagName="div"
        idPrefix="input"
        idSeparator="."
        // A JSON schema, which is what the library takes.
        schema={schema as RJSFSchema}
        uiSchema={UI}
        validator={validator}
        formData={value}
        onChange={({ formData }) => onChange(formData)}
        extraErrors={extraErrors}
        templates={SCHEMA_TEMPLATES}
        showErrorList={false}
        noHtml5Validate
        focusOnFirstError={focusField}
        // It would tell the console what stands at the fields.
        onError={nothing}
      />
    </div>
  );
}

/** The library looks for fields in a form element, which this one is not. */
function focusField({ property = "" }: RJSFValidationError): void {
  document.getElementById(`input${property}`)?.focus();
}

function nothing(): void {}
