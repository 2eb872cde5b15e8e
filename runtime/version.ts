/** The version of this package, as `package.json` says it. */

import packageJson from "../package.json" with { type: "json" };

export const VERSION: string = packageJson.version;
