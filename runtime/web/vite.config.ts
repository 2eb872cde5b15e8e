/** How the dashboard is built: `npm run web`. The API serves `dist`; nothing in it is fetched from anywhere else. */
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { precompress } from "./precompress.ts";

/** Where `npm run web:dev` finds an API. */
const DEV_API = "http://127.0.0.1:8080";

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // The API may stand behind a path of a load balancer.
  base: "./",
  plugins: [react(), precompress()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    // A picture in the text of a style sheet would need `data:` in more of the policy than images.
    assetsInlineLimit: 0,
    // What an inline script would do, the policy forbids; every browser of the target preloads modules by itself.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
  },
  server: { proxy: { "/v1": DEV_API, "/docs": DEV_API, "/openapi.json": DEV_API } },
});
