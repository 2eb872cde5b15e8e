import { afterEach, beforeEach, expect, test } from "vitest";
import { dumpSchema } from "../../runtime/postgres/dump-schema.ts";
import { openDatabase } from "../../runtime/postgres/pool.ts";
import { createEmptyDatabase, type TestDatabase } from "../support/database.ts";

let first: TestDatabase;
let second: TestDatabase;

beforeEach(async () => {
  first = await createEmptyDatabase();
  second = await createEmptyDatabase();
});

afterEach(async () => {
  await first.drop();
  await second.drop();
});

async function dumpAfter({ url }: TestDatabase, statements: string): Promise<string> {
  const database = openDatabase({ connectionString: url, max: 1, applicationName: "make" });
  try {
    await database.transaction((tx) => tx.raw.query(`create schema taskiq;${statements}`));
  } finally {
    await database.close();
  }
  return await dumpOf({ url });
}

async function dumpOf({ url }: Pick<TestDatabase, "url">): Promise<string> {
  const database = openDatabase({ connectionString: url, max: 1, applicationName: "dump" });
  try {
    return await dumpSchema(database);
  } finally {
    await database.close();
  }
}

test("equal schemas have equal texts, whatever the order in which they were made", async () => {
  const one = await dumpAfter(
    first,
    `create type taskiq.b as enum ('z', 'a'); create type taskiq.a as enum ('x');
     create table taskiq.t (id bigserial, n text, constraint second check (n <> ''), constraint first check (id > 0));
     create index i2 on taskiq.t (n); create index i1 on taskiq.t (id);`,
  );
  const other = await dumpAfter(
    second,
    `create table taskiq.t (id bigserial, gone integer, n text);
     alter table taskiq.t drop column gone;
     alter table taskiq.t add constraint first check (id > 0); alter table taskiq.t add constraint second check (n <> '');
     create index i1 on taskiq.t (id); create index i2 on taskiq.t (n);
     create type taskiq.a as enum ('x'); create type taskiq.b as enum ('z', 'a');`,
  );
  expect(other).toBe(one);
});

test.each([
  ["a column's type", "create table taskiq.t (id bigint)"],
  ["not null", "create table taskiq.t (id integer not null)"],
  ["a default", "create table taskiq.t (id integer default 1)"],
  ["a generated column", "create table taskiq.t (id integer, twice integer generated always as (id * 2) stored)"],
  ["an identity", "create table taskiq.t (id integer generated always as identity)"],
  ["a check", "create table taskiq.t (id integer constraint small check (id < 9))"],
  ["a primary key", "create table taskiq.t (id integer primary key)"],
  ["a foreign key", "create table taskiq.t (id integer unique references taskiq.t (id))"],
  ["an index", "create table taskiq.t (id integer); create index i on taskiq.t (id) where id > 1"],
  ["a table's settings", "create table taskiq.t (id integer) with (fillfactor = 70)"],
  ["an enum", "create table taskiq.t (id integer); create type taskiq.e as enum ('a')"],
  ["a view", "create table taskiq.t (id integer); create view taskiq.v as select id from taskiq.t"],
  [
    "a function",
    "create table taskiq.t (id integer); create function taskiq.f() returns int language sql as 'select 1'",
  ],
  [
    "a trigger",
    `create table taskiq.t (id integer);
     create trigger g before update on taskiq.t for each row execute function suppress_redundant_updates_trigger()`,
  ],
  [
    "an index's comment",
    "create table taskiq.t (id integer); create index i on taskiq.t (id); comment on index taskiq.i is 'x'",
  ],
  ["a column's comment", "create table taskiq.t (id integer); comment on column taskiq.t.id is 'x'"],
])("%s is part of the text", async (_what, statements) => {
  const plain = await dumpAfter(first, "create table taskiq.t (id integer)");
  const changed = await dumpAfter(second, statements);
  expect(changed).not.toBe(plain);
});

test("every name is complete, also where the schema is on the search path", async () => {
  const { pathname } = new URL(first.url);
  // The setting is for connections made after it: the one that reads.
  const text = await dumpAfter(
    first,
    `alter database ${pathname.slice(1)} set search_path = taskiq;
     create type taskiq.e as enum ('a'); create table taskiq.t (e taskiq.e default 'a')`,
  );
  expect(text).toContain("e taskiq.e default 'a'::taskiq.e");
});
