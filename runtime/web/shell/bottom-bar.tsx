/** The pages at the lower edge of a phone: the first ones, and a drawer with the others. */
import Menu from "lucide-react/icons/menu";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import { Dialog } from "../components/dialog.tsx";
import { Account } from "./account.tsx";
import { isWithin, PHONE_PLACES, PLACES } from "./places.ts";

export function BottomBar() {
  const [path] = useLocation();
  const [isOpen, setOpen] = useState(false);
  const others = PLACES.slice(PHONE_PLACES);
  return (
    <nav className="bottom-bar" aria-label="Pages, short">
      {PLACES.slice(0, PHONE_PLACES).map(({ label, href, icon: Icon }) => (
        <Link key={href} href={href} className="bottom-place" aria-current={isWithin(path, href) ? "page" : undefined}>
          <Icon size={19} aria-hidden="true" />
          {label}
        </Link>
      ))}
      <button
        type="button"
        className="bottom-place"
        aria-current={others.some(({ href }) => isWithin(path, href)) ? "page" : undefined}
        aria-haspopup="dialog"
        onClick={() => setOpen(true)}
      >
        <Menu size={19} aria-hidden="true" />
        More
      </button>
      {isOpen && (
        <Dialog title="More" onClose={() => setOpen(false)}>
          {others.map(({ label, href, icon: Icon }) => (
            <Link key={href} href={href} className="sidebar-place" onClick={() => setOpen(false)}>
              <Icon size={16} aria-hidden="true" />
              {label}
            </Link>
          ))}
          <Account />
        </Dialog>
      )}
    </nav>
  );
}
