/** Light or dark: as the system has it, until somebody chooses; the choice is remembered in this browser. */
import {
  createContext,
  type ReactNode,
  use,
  useCallback,
  useLayoutEffect,
  useMemo,
  useState,
  useSyncExternalStore,
} from "react";

export type ThemeChoice = "system" | "light" | "dark";
export type Theme = {
  readonly choice: ThemeChoice;
  readonly shown: "light" | "dark";
  choose(choice: ThemeChoice): void;
};

const NAME = "taskiq-aws.theme";
const DARK = "(prefers-color-scheme: dark)";

const ThemeContext = createContext<Theme | null>(null);

export function ThemeProvider({ children }: { readonly children: ReactNode }) {
  const [choice, setChoice] = useState(readChoice);
  const systemIsDark = useSyncExternalStore(onSystemChange, () => matchMedia(DARK).matches);
  const shown = choice === "system" ? (systemIsDark ? "dark" : "light") : choice;
  // Before anything is painted.
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = shown;
  }, [shown]);
  const choose = useCallback((next: ThemeChoice) => {
    localStorage.setItem(NAME, next);
    setChoice(next);
  }, []);
  const theme = useMemo(() => ({ choice, shown, choose }) as const, [choice, shown, choose]);
  return <ThemeContext value={theme}>{children}</ThemeContext>;
}

export function useTheme(): Theme {
  const theme = use(ThemeContext);
  if (theme === null) throw new Error("expected to be inside ThemeProvider");
  return theme;
}

function readChoice(): ThemeChoice {
  const kept = localStorage.getItem(NAME);
  return kept === "light" || kept === "dark" ? kept : "system";
}

function onSystemChange(changed: () => void): () => void {
  const query = matchMedia(DARK);
  query.addEventListener("change", changed);
  return () => query.removeEventListener("change", changed);
}
