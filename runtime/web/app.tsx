/** The dashboard from the outside in: theme, client, session, frame, pages. */
import { Router } from "wouter";
import { ApiProvider, type ApiProviderProps } from "./api/api-provider.tsx";
import { NowProvider } from "./components/now.tsx";
import { ToastProvider } from "./components/toast.tsx";
import { Pages } from "./pages.tsx";
import { useHashLocation, useHashSearch } from "./route/hash-location.ts";
import { SessionGate } from "./shell/session-gate.tsx";
import { Shell } from "./shell/shell.tsx";
import { ThemeProvider } from "./theme/theme.tsx";

export function App(parts: Omit<ApiProviderProps, "children">) {
  return (
    <ThemeProvider>
      <NowProvider clock={parts.clock}>
        <ApiProvider {...parts}>
          <Router hook={useHashLocation} searchHook={useHashSearch} hrefs={useHashLocation.hrefs}>
            <ToastProvider>
              <SessionGate>
                <Shell>
                  <Pages />
                </Shell>
              </SessionGate>
            </ToastProvider>
          </Router>
        </ApiProvider>
      </NowProvider>
    </ThemeProvider>
  );
}
