/** Where the dashboard starts. */
import "./theme/tokens.css";
import "./theme/base.css";
import { createRoot } from "react-dom/client";
import { systemClock } from "../clock.ts";
import { createConnection } from "./api/connection.ts";
import { createKeyStore } from "./api/key-store.ts";
import { App } from "./app.tsx";

const root = document.getElementById("root");
if (root === null) throw new Error("expected an element #root in index.html");
createRoot(root).render(
  <App keys={createKeyStore(sessionStorage)} clock={systemClock} connection={createConnection()} />,
);
