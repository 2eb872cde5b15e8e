/** The pages at the left of a screen that is wide enough. */
import { Link, useLocation } from "wouter";
import { Account } from "./account.tsx";
import { Brand } from "./brand.tsx";
import { isWithin, PLACES } from "./places.ts";

export function Sidebar() {
  const [path] = useLocation();
  return (
    <div className="sidebar">
      <Link href="/overview" className="sidebar-brand">
        <Brand />
        taskiq-aws
      </Link>
      <nav aria-label="Pages" className="sidebar-places">
        {PLACES.map(({ label, href, key, icon: Icon }) => (
          <Link
            key={href}
            href={href}
            className="sidebar-place"
            aria-current={isWithin(path, href) ? "page" : undefined}
            aria-keyshortcuts={`g ${key}`}
          >
            <Icon size={16} aria-hidden="true" />
            {label}
          </Link>
        ))}
      </nav>
      <Account />
    </div>
  );
}
