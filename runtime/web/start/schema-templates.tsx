/** How the parts of a generated form look: as the other fields of the dashboard do. */
import type {
  ArrayFieldItemTemplateProps,
  DescriptionFieldProps,
  FieldErrorProps,
  FieldTemplateProps,
  IconButtonProps,
  RJSFSchema,
  TitleFieldProps,
} from "@rjsf/utils";
import { errorId, getTemplate } from "@rjsf/utils";
import ArrowDown from "lucide-react/icons/arrow-down";
import ArrowUp from "lucide-react/icons/arrow-up";
import Copy from "lucide-react/icons/copy";
import Plus from "lucide-react/icons/plus";
import X from "lucide-react/icons/x";
import { noteOf } from "./schema-note.ts";

/** Whatever the form is for. */
type Value = unknown;

function SchemaFieldFrame(props: FieldTemplateProps<Value>) {
  const { id, label, children, errors, description, hidden, required, displayLabel, registry, schema } = props;
  const Additional = getTemplate<"WrapIfAdditionalTemplate", Value>("WrapIfAdditionalTemplate", registry);
  if (hidden === true) return <div hidden>{children}</div>;
  const isContainer = schema.type === "object" || schema.type === "array";
  const note = isContainer ? null : noteOf(schema);
  return (
    <Additional {...props}>
      {displayLabel === true && !isContainer && (
        <label htmlFor={id} className="schema-label">
          {label}
          {required === true && <Required />}
        </label>
      )}
      {children}
      {displayLabel === true && description}
      {note !== null && <span className="field-note">{note}</span>}
      {errors}
    </Additional>
  );
}

function Required() {
  return (
    <span className="schema-required" title="required">
      {" "}
      *
    </span>
  );
}

function Description({ id, description }: DescriptionFieldProps<Value>) {
  if (description === undefined || description === "") return null;
  return (
    <div id={id} className="field-note">
      {description}
    </div>
  );
}

function Title({ id, title, required, optionalDataControl }: TitleFieldProps<Value>) {
  return (
    <legend id={id}>
      {title}
      {required === true && <Required />}
      {optionalDataControl}
    </legend>
  );
}

function Errors({ errors = [], fieldPathId }: FieldErrorProps<Value>) {
  if (errors.length === 0) return null;
  return (
    <ul id={errorId(fieldPathId)} className="schema-errors">
      {errors.map((error) => (
        <li key={String(error)} className="field-issue">
          {error}
        </li>
      ))}
    </ul>
  );
}

function ArrayItem({ children, buttonsProps, hasToolbar, registry }: ArrayFieldItemTemplateProps<Value>) {
  const Buttons = getTemplate<"ArrayFieldItemButtonsTemplate", Value>("ArrayFieldItemButtonsTemplate", registry);
  return (
    <div className="schema-item">
      <div className="grow">{children}</div>
      {hasToolbar && (
        <div className="schema-item-buttons">
          <Buttons {...buttonsProps} />
        </div>
      )}
    </div>
  );
}

function buttonOf(label: string, Icon: typeof Plus, withWords = false) {
  return function SchemaButton({ id, onClick, disabled }: IconButtonProps<Value, RJSFSchema>) {
    return (
      <button
        type="button"
        id={id}
        className={`button button-small ${withWords ? "" : "button-quiet button-icon"}`}
        onClick={onClick}
        disabled={disabled}
        aria-label={label}
        title={label}
      >
        <Icon size={14} aria-hidden="true" />
        {withWords && <span>{label}</span>}
      </button>
    );
  };
}

export const SCHEMA_TEMPLATES = {
  FieldTemplate: SchemaFieldFrame,
  DescriptionFieldTemplate: Description,
  TitleFieldTemplate: Title,
  FieldErrorTemplate: Errors,
  ArrayFieldItemTemplate: ArrayItem,
  ButtonTemplates: {
    AddButton: buttonOf("Add", Plus, true),
    RemoveButton: buttonOf("Remove", X),
    CopyButton: buttonOf("Copy", Copy),
    MoveUpButton: buttonOf("Move up", ArrowUp),
    MoveDownButton: buttonOf("Move down", ArrowDown),
  },
};
