/** The options of a start. Each says what it is where nothing is typed. */
import { useApi } from "../api/api-provider.tsx";
import { usePolled } from "../api/use-polled.ts";
import { TextField } from "../components/field.tsx";
import type { OptionName, OptionTexts } from "./start-options.ts";

export type OptionFieldsProps = {
  /** Only these are shown. */
  readonly defaults: Partial<Readonly<Record<OptionName, string>>>;
  readonly texts: OptionTexts;
  readonly onChange: (texts: OptionTexts) => void;
  readonly issues: Partial<Record<OptionName, string>>;
};

export function OptionFields({ defaults, texts, onChange, issues }: OptionFieldsProps) {
  const { client } = useApi();
  const hasQueue = defaults.queue !== undefined;
  // Only to choose from: any other name may be typed, and the API says whether there is one.
  const queues = usePolled({ key: ["queues"], look: () => client.queues.list(), everyMs: false, enabled: hasQueue });
  const propsOf = (name: OptionName) => ({
    value: texts[name],
    onChange: (text: string) => onChange({ ...texts, [name]: text }),
    placeholder: defaults[name] ?? "",
    issue: issues[name],
  });
  return (
    <div className="option-fields">
      {hasQueue && (
        <TextField label="Queue" suggestions={queues.data?.map(({ name }) => name) ?? []} {...propsOf("queue")} />
      )}
      {defaults.priority !== undefined && (
        <TextField label="Priority" note="-100 to 100, higher starts earlier" {...propsOf("priority")} />
      )}
      {defaults.delay !== undefined && (
        <TextField label="Delay" note="Such as 90 s, 5 m or 2 h, at most 365 d" {...propsOf("delay")} />
      )}
      {defaults.key !== undefined && (
        <TextField label="Idempotency key" note="The same key gives the same one, for a day" {...propsOf("key")} />
      )}
      {defaults.labels !== undefined && (
        <div className="option-wide">
          <TextField label="Labels" lines={3} note="One a line" {...propsOf("labels")} />
        </div>
      )}
    </div>
  );
}
