/** Labels, each of which leads to the tasks that have it. */
import "./labels.css";
import { Link } from "wouter";
import { None } from "../components/time.tsx";

export function Labels({ labels }: { readonly labels: Readonly<Record<string, string>> }) {
  const pairs = Object.entries(labels);
  if (pairs.length === 0) return <None />;
  return (
    <ul className="labels">
      {pairs.map(([name, value]) => (
        <li key={name}>
          <Link className="label" href={`/tasks?${new URLSearchParams({ label: `${name}=${value}` })}`}>
            {name}=<strong>{value}</strong>
          </Link>
        </li>
      ))}
    </ul>
  );
}
