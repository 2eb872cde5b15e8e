/**
 * Builds the dashboard after an installation. One without development dependencies, such as that of the image, has nothing to build it with: it is
 * told so, and goes on.
 */
import { fileURLToPath } from "node:url";

const CONFIG = fileURLToPath(new URL("./vite.config.ts", import.meta.url));

if (isInstalled("vite")) {
  const { build } = await import("vite");
  await build({ configFile: CONFIG, logLevel: "warn" });
} else {
  console.log("The dashboard is not built: its development dependencies are not installed. The API does without it.");
}

function isInstalled(name: string): boolean {
  try {
    import.meta.resolve(name);
    return true;
  } catch {
    return false;
  }
}
