/** A failure where there is little room: its code, and what the API says about it. */
import "./failure-line.css";
import TriangleAlert from "lucide-react/icons/triangle-alert";
import { describeFailure } from "./failure.ts";

export function FailureLine({ error }: { readonly error: unknown }) {
  const { code, detail } = describeFailure(error);
  return (
    <div className="failure-line" role="alert">
      <TriangleAlert size={15} aria-hidden="true" />
      <div className="grow">
        <code>{code}</code>
        <p>{detail}</p>
      </div>
    </div>
  );
}
