import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConnectionString } from "../../runtime/postgres/connection-string.ts";
import { openDatabase } from "../../runtime/postgres/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { startTlsFront, type TlsFront } from "../support/tls-front.ts";

describe("what a connection string may say about TLS", () => {
  test.each(["postgres://u@h/d", "postgres://u@h/d?sslmode=disable"])("%s: none", (text) => {
    expect(readConnectionString(text)).toEqual({ connectionString: "postgres://u@h/d", ssl: false });
  });

  test.each(["require", "verify-ca", "verify-full"])("sslmode=%s: full verification", (mode) => {
    expect(readConnectionString(`postgres://u@h/d?sslmode=${mode}`)).toEqual({
      connectionString: "postgres://u@h/d",
      ssl: { rejectUnauthorized: true },
    });
  });

  test.each(["no-verify", "prefer", "allow", "verify-fully"])("sslmode=%s: refused", (mode) => {
    expect(() => readConnectionString(`postgres://u@h/d?sslmode=${mode}`)).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("sslmode=verify-full") }),
    );
  });

  test("libpq's compatibility switch cannot turn verification off", () => {
    expect(readConnectionString("postgres://u@h/d?uselibpqcompat=true&sslmode=require&ssl=0")).toEqual({
      connectionString: "postgres://u@h/d",
      ssl: { rejectUnauthorized: true },
    });
  });

  test("other settings stay", () => {
    const { connectionString } = readConnectionString("postgres:///d?host=/run/pg&sslmode=disable&options=-c%20x%3D1");
    expect(connectionString).toBe("postgres:///d?host=%2Frun%2Fpg&options=-c+x%3D1");
  });

  test("a file of authorities that cannot be read is a configuration error that names it", () => {
    expect(() => readConnectionString("postgres://u@h/d?sslmode=verify-full&sslrootcert=/gone.pem")).toThrow(
      expect.objectContaining({ code: "config_invalid", message: expect.stringContaining("/gone.pem") }),
    );
  });
});

describe("a server with a certificate for localhost", () => {
  let testDatabase: TestDatabase;
  let front: TlsFront;

  beforeAll(async () => {
    testDatabase = await createTestDatabase();
    const { hostname, port } = new URL(testDatabase.url);
    front = await startTlsFront({ host: hostname, port: Number(port) });
  });

  afterAll(async () => {
    await front.close();
    await testDatabase.drop();
  });

  async function connect(host: string, caFile?: string): Promise<void> {
    const url = new URL(testDatabase.url);
    url.host = `${host}:${front.port}`;
    url.search = "?sslmode=verify-full";
    const database = openDatabase({ connectionString: url.href, caFile, max: 1, applicationName: "tls" });
    try {
      await database.query({ name: "one", text: "select 1" }, []);
    } finally {
      await database.close();
    }
  }

  test("is trusted with its authority's file", async () => {
    await connect("localhost", front.caFile);
  });

  test("is refused without the file", async () => {
    await expect(connect("localhost")).rejects.toThrow("unable to verify the first certificate");
  });

  test("is refused under another name", async () => {
    await expect(connect("127.0.0.1", front.caFile)).rejects.toThrow("IP: 127.0.0.1 is not in the cert's list");
  });
});
