/** The frame around every page: where one can go, who one is, and whether the API answers. */
import "./shell.css";
import type { ReactNode } from "react";
import { BottomBar } from "./bottom-bar.tsx";
import { ConnectionBanner } from "./connection-banner.tsx";
import { Shortcuts } from "./shortcuts.tsx";
import { Sidebar } from "./sidebar.tsx";

export function Shell({ children }: { readonly children: ReactNode }) {
  return (
    <div className="shell">
      {/* No link: what stands in the address after # is a page of the dashboard. */}
      <button type="button" className="shell-skip" onClick={() => document.getElementById("main")?.focus()}>
        To the content
      </button>
      <Sidebar />
      <main id="main" className="shell-main" tabIndex={-1}>
        <ConnectionBanner />
        {children}
      </main>
      <BottomBar />
      <Shortcuts />
    </div>
  );
}
