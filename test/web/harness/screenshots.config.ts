/** `npm run screenshots`: a picture of every page, light, dark and on a phone, in `.local/screenshots/`. */
import config from "../vitest.config.ts";

export default { test: { ...config.test, include: ["test/web/harness/screenshots.ts"], testTimeout: 300_000 } };
