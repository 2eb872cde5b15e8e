import pg from "pg";
import { describe, expect, test } from "vitest";
import { TaskiqError } from "../../runtime/errors.ts";
import {
  breaksConnection,
  isConnectionError,
  isSerializationError,
  isStalePlan,
} from "../../runtime/postgres/failure.ts";

function serverError(code: string, { severity = "ERROR", routine = "" } = {}): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError("in the server's language", 1, "error"), { code, severity, routine });
}

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code}`), { code });
}

describe("repeating on another connection is right", () => {
  test.each(["57P01", "57P02", "57P03", "57P05", "53300", "08000", "08003", "08006", "25006"])(
    "after SQLSTATE %s",
    (code) => {
      expect(isConnectionError(serverError(code))).toBe(true);
    },
  );

  test.each(["ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "EPIPE", "ENOTFOUND", "EAI_AGAIN"])("after %s", (code) => {
    expect(isConnectionError(systemError(code))).toBe(true);
  });

  test.each([
    "Query read timeout",
    "Connection terminated",
    "Connection terminated unexpectedly",
    "Connection terminated due to connection timeout",
    "timeout exceeded when trying to connect",
    "timeout expired",
    "Client has encountered a connection error and is not queryable",
  ])("after pg's message %j", (message) => {
    expect(isConnectionError(new Error(message))).toBe(true);
  });

  test("after a ping that failed", () => {
    expect(isConnectionError(new TaskiqError("database_unavailable", "expected an answer"))).toBe(true);
  });

  test("when a pooler breaks off with 08P01", () => {
    expect(isConnectionError(serverError("08P01", { severity: "FATAL" }))).toBe(true);
  });
});

describe("repeating on another connection changes nothing", () => {
  test.each(["23505", "22P02", "22021", "40001", "40P01", "42P01", "57014", "55P03", "28P01", "25P03"])(
    "after SQLSTATE %s",
    (code) => {
      expect(isConnectionError(serverError(code))).toBe(false);
    },
  );

  test("after a wrong number of parameters (08P01 as a mere ERROR)", () => {
    expect(isConnectionError(serverError("08P01"))).toBe(false);
  });

  test("when it is unknown whether the commit happened, whatever the cause", () => {
    const cause = systemError("ECONNRESET");
    expect(isConnectionError(new TaskiqError("commit_unknown", "expected an answer", { cause }))).toBe(false);
  });

  test.each([undefined, null, "ECONNRESET", 42, { code: "ECONNRESET" }, new TypeError("no")])("after %j", (thrown) => {
    expect(isConnectionError(thrown)).toBe(false);
  });
});

test.each(["40001", "40P01"])("the whole transaction may be repeated after %s, on the same connection", (code) => {
  expect(isSerializationError(serverError(code))).toBe(true);
  expect(breaksConnection(serverError(code))).toBe(false);
});

test("a plan outdated by a migration is known by the server's routine, not by its message", () => {
  const stale = serverError("0A000", { routine: "RevalidateCachedQuery" });
  expect(isStalePlan(stale)).toBe(true);
  expect(isSerializationError(stale)).toBe(true);
  expect(isStalePlan(serverError("0A000"))).toBe(false);
  expect(isSerializationError(serverError("0A000"))).toBe(false);
});

test("a FATAL error ends its connection, an ERROR does not", () => {
  expect(breaksConnection(serverError("25P03", { severity: "FATAL" }))).toBe(true);
  expect(breaksConnection(serverError("25P03"))).toBe(false);
  expect(breaksConnection(new Error("a handler's own"))).toBe(false);
});
