/** From when to when tasks were accepted, in the time of whoever looks. */
import { useParams } from "../route/params.ts";

export function TimesFilter() {
  return (
    <>
      <TimeInput param="after" label="Accepted after" />
      <TimeInput param="before" label="Accepted before" />
    </>
  );
}

function TimeInput({ param, label }: { readonly param: string; readonly label: string }) {
  const [params, change] = useParams();
  return (
    <input
      type="datetime-local"
      className="input filter-select"
      aria-label={label}
      title={label}
      value={localText(params.get(param))}
      onChange={(event) => change({ at: null, [param]: isoText(event.target.value) })}
    />
  );
}

/** `2026-11-21T14:03` of a time in the address. */
function localText(iso: string | null): string {
  const at = iso === null ? undefined : new Date(iso);
  if (at === undefined || Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

function isoText(local: string): string | null {
  return local === "" ? null : new Date(local).toISOString();
}
