import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const INDEX = "<!doctype html><title>taskiq-aws</title>";
const SCRIPT = "console.log('dashboard');\n";

let place: PlaceKept;
let outside: string;
let folder: string;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  outside = await mkdtemp(join(tmpdir(), "pages-"));
  folder = join(outside, "dist");
  await mkdir(join(folder, "assets"), { recursive: true });
  await writeFile(join(folder, "index.html"), INDEX);
  await writeFile(join(folder, "icon.svg"), "<svg/>");
  await writeFile(join(folder, "assets", "main-1a2b.js"), SCRIPT);
  await writeFile(join(folder, "assets", "main-1a2b.js.br"), brotliCompressSync(SCRIPT));
  await writeFile(join(outside, "secret.txt"), "secret");
  const access = { auth: "keys", environment: "test" } as const;
  api = await openTestApi(place, { parts: { access, pagesFolder: folder } });
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
  await rm(outside, { recursive: true, force: true });
});

describe("the dashboard", () => {
  test("is open to everybody, loads nothing from elsewhere and lets nobody frame it", async () => {
    const { status, headers, text } = await api.get("/");
    expect({ status, text }).toEqual({ status: 200, text: INDEX });
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(headers["content-security-policy"]).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" });
  });

  test("is asked for anew each time, and not sent again when it has not changed", async () => {
    const { headers } = await api.get("/");
    expect(headers["cache-control"]).toBe("public, max-age=0");
    expect(await api.get("/", { "if-none-match": String(headers.etag) })).toMatchObject({ status: 304, text: "" });
  });

  test("has files that are kept for a year, as their names change with their content", async () => {
    const { status, headers, text } = await api.get("/assets/main-1a2b.js");
    expect({ status, text }).toEqual({ status: 200, text: SCRIPT });
    expect(headers["cache-control"]).toBe("public, max-age=31536000, immutable");
    expect(headers["content-type"]).toMatch(/javascript/);
    expect(headers["x-content-type-options"]).toBe("nosniff");
  });

  test("sends what was compressed when it was built", async () => {
    const response = await api.inject({ url: "/assets/main-1a2b.js", headers: { "accept-encoding": "gzip, br" } });
    expect(response.headers).toMatchObject({ "content-encoding": "br", vary: "accept-encoding" });
    expect(response.headers["content-type"]).toMatch(/javascript/);
    expect(brotliDecompressSync(response.rawPayload).toString()).toBe(SCRIPT);
  });

  test("does not know files that are not there, nor those outside its folder", async () => {
    for (const url of [
      "/assets/main-0000.js",
      "/assets/",
      "/assets/../../secret.txt",
      "/assets/..%2f..%2fsecret.txt",
      "/assets/%2e%2e/%2e%2e/secret.txt",
      "/assets/%00",
      "/index.htm",
    ]) {
      expect(await api.get(url), url).toMatchObject({ status: 404, body: { code: "route_not_found" } });
    }
  });

  test("takes no other method", async () => {
    expect(await api.post("/", {})).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
  });

  test("says how to build it where it was not built", async () => {
    const bare = await openTestApi(place, { parts: { pagesFolder: join(folder, "nothing") } });
    const { status, headers, text } = await bare.get("/");
    await bare.close();
    expect(status).toBe(503);
    expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(text).toContain("npm run web");
  });
});
