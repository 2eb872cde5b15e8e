/** Runs as the API shows them, over rows in the state under test; and what it hands to those who start and change them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { JobDefinition } from "../../runtime/define/job.ts";
import { TaskiqError } from "../../runtime/errors.ts";
import type { Graph } from "../../runtime/model/graph.ts";
import { openPayloadStore } from "../../runtime/payload/s3.ts";
import { clearRuns, createRun, stepId } from "../support/runs.ts";
import { ask, clearTasks, createTasks } from "../support/tasks.ts";
import { until } from "../support/until.ts";
import { createPlace, openTestApi, type PlaceKept, type TestApi } from "./test-api.ts";

const ETL: Graph = {
  steps: [
    { key: "list", task: "echo", input: { files: { $input: "files" } } },
    { key: "parse", task: "strict", map: { $ref: "list.files" }, input: { name: { $item: "name" } } },
    { key: "report", task: "echo", input: { parts: { $ref: "parse" } }, after: ["list"] },
  ],
};
const DONE = '{"files":["a"]}';
const NOBODY = "0198f3c0-0000-7000-8000-000000000000";

const jobs = new Map<string, JobDefinition>();
let submitted: unknown[][] = [];
let answer: () => { kind: "created" | "replayed"; runId: string } = () => ({ kind: "created", runId: NOBODY });
const note = async (...call: unknown[]) => {
  submitted.push(call);
  return answer();
};
const submitter = { submit: note, reexecute: note, idle: async () => {} };

let place: PlaceKept;
let api: TestApi;

beforeAll(async () => {
  place = await createPlace();
  api = await openTestApi(place, { runs: { submitter, jobs } });
  // As a module of tasks would define it.
  jobs.set("etl", {
    name: "etl",
    description: "Reads files.",
    input: z.object({ files: z.int().min(1).default(3) }),
    graph: ETL,
    mode: "orchestrated",
    priority: 5,
    labels: { team: "search" },
  } as JobDefinition);
});
beforeEach(async () => {
  submitted = [];
  answer = () => ({ kind: "created", runId: NOBODY });
  await clearTasks(api.database);
  await clearRuns(api.database);
  await ask(api.database, "delete from taskiq.audit");
});
afterAll(async () => {
  await api?.close();
  await place?.drop();
});

const run = async (id: string, query = "") => (await api.get(`/v1/runs/${id}${query}`)).body;
const audits = () => ask(api.database, "select action, target, detail from taskiq.audit order by id");
const keys = (page: Readonly<Record<string, unknown>>) => (page.steps as { key: string }[]).map(({ key }) => key);

describe("jobs", () => {
  test("are listed with their schema, and shown with their graph", async () => {
    const summary = {
      name: "etl",
      description: "Reads files.",
      mode: "orchestrated",
      priority: 5,
      labels: { team: "search" },
      input_schema: expect.objectContaining({ properties: { files: expect.objectContaining({ default: 3 }) } }),
      step_count: 3,
    };
    expect((await api.get("/v1/jobs")).body).toEqual({ jobs: [summary] });
    expect((await api.get("/v1/jobs/etl")).body).toEqual({ ...summary, graph: ETL });
    expect(await api.get("/v1/jobs/nothing")).toMatchObject({ status: 404, body: { code: "job_not_found" } });
  });

  test("the schema of graphs is published", async () => {
    const { headers, text } = await api.get("/v1/graph-schema.json");
    expect(headers["content-type"]).toContain("application/schema+json");
    expect(JSON.parse(text)).toMatchObject({ type: "object", required: ["steps"], additionalProperties: false });
  });
});

describe("starting a run", () => {
  test("of a graph hands it on as it is", async () => {
    const graph = { steps: [{ key: "one", task: "echo" }] };
    const { status, headers, body } = await api.post("/v1/runs", { graph }, { "idempotency-key": "k" });
    expect({ status, body, location: headers.location }).toEqual({
      status: 202,
      body: { run_id: NOBODY, state: "running" },
      location: `/v1/runs/${NOBODY}`,
    });
    const wanted = { job: null, graph, mode: "orchestrated", input: null, traceContext: null };
    expect(submitted).toEqual([[wanted, { tenant: "default", idempotencyKey: "k" }]]);
    expect(await audits()).toMatchObject([{ action: "run.create", target: NOBODY }]);
  });

  test("of a job fills in the defaults of its input, and takes over what is said otherwise", async () => {
    await api.post("/v1/runs", { job: "etl", input: {} });
    const body = { job: "etl", input: { files: 7 }, mode: "simple", priority: -1, labels: { by: "me" } };
    await api.post("/v1/runs", body);
    expect(submitted.map(([wanted]) => wanted)).toEqual([
      {
        job: "etl",
        graph: ETL,
        mode: "orchestrated",
        input: { files: 3 },
        priority: 5,
        labels: { team: "search" },
        traceContext: null,
      },
      { ...body, graph: ETL, labels: { team: "search", by: "me" }, traceContext: null },
    ]);
  });

  test("again under the same key says so, and is recorded once", async () => {
    answer = () => ({ kind: "replayed", runId: NOBODY });
    const { status, headers } = await api.post("/v1/runs", { job: "etl", input: {} }, { "idempotency-key": "k" });
    expect([status, headers["idempotency-replayed"]]).toEqual([202, "true"]);
    expect(await audits()).toEqual([]);
  });

  test.each([
    [{}, "request_invalid", "job", "expected job or graph, got neither"],
    [{ job: "etl", graph: ETL }, "request_invalid", "graph", "expected job or graph, got both"],
    [{ job: "nothing" }, "unknown_job", "job", "unknown job"],
    [{ job: "etl", input: { files: 0 } }, "input_invalid", "input.files", /expected number to be >=1/],
    [{ job: "etl", mode: "fast" }, "request_invalid", "mode", /orchestrated/],
    [{ graph: { steps: "all" } }, "graph_invalid", "steps", /expected array/],
    [{ graph: { steps: [{ key: "load", task: 3 }] } }, "graph_invalid", "steps.load.task", /expected string/],
    [{ graph: { steps: [{ key: "load", task: "echo", nxt: 1 }] } }, "graph_invalid", "steps.load.nxt", /not known/],
    [{ graph: { steps: [{ task: "echo" }] } }, "graph_invalid", "steps.0.key", /expected string/],
  ])("%j is refused: %s", async (body, code, path, message) => {
    const refusal = await api.post("/v1/runs", body);
    expect(refusal).toMatchObject({ status: 422, body: { code } });
    expect(refusal.body.issues[0]).toEqual({
      path,
      message: typeof message === "string" ? message : expect.stringMatching(message),
    });
    expect(submitted).toEqual([]);
  });

  test("what the submitter finds is told with its issues", async () => {
    const issues = [{ path: "steps.load.input.rows", message: "no step has the key lod" }];
    answer = () => {
      throw new TaskiqError("graph_invalid", "steps.load.input.rows: no step has the key lod", { details: { issues } });
    };
    const refusal = await api.post("/v1/runs", { graph: ETL });
    expect(refusal).toMatchObject({ status: 422, body: { code: "graph_invalid", issues } });
    expect(await audits()).toEqual([]);
  });

  test("takes graphs of up to 16 MiB, and no other body of that size", async () => {
    const text = "x".repeat(10 * 1_048_576);
    const graph = { steps: [{ key: "one", task: "echo", input: text }] };
    expect((await api.post("/v1/runs", { graph })).status).toBe(202);
    expect((await api.post("/v1/tasks", { task: "echo", input: text })).status).toBe(413);
    const large = await api.post("/v1/runs", { graph, input: text });
    expect(large).toMatchObject({ status: 413, body: { code: "body_too_large" } });
    expect(large.body.detail).toContain(`at most ${16 * 1_048_576} bytes`);
  });
});

describe("looking at a run", () => {
  test("shows its steps in the order of the graph, its counts and its health", async () => {
    const id = await createRun(
      api.database,
      ETL,
      {
        list: { state: "succeeded", result: DONE, startedMsAgo: 3_000, finishedMsAgo: 1_000 },
        parse: {
          state: "blocked",
          attempt: 1,
          elements: [
            { state: "succeeded" },
            { state: "running", progress: 0.5, progressMessage: "half" },
            { state: "queued" },
            { state: "failed" },
          ],
        },
        report: { state: "blocked" },
      },
      { job: "etl", input: '{"files":18446744073709551616}', labels: '{"team":"search"}', priority: 3 },
    );
    const { steps, ...rest } = await run(id);
    expect(rest).toEqual({
      run_id: id,
      job: "etl",
      mode: "orchestrated",
      state: "running",
      priority: 3,
      labels: { team: "search" },
      step_count: 7,
      open_steps: 4,
      succeeded_steps: 2,
      failed_steps: 1,
      cancelled_steps: 0,
      skipped_steps: 0,
      error: null,
      cancel_requested: false,
      cancel_reason: null,
      parent_run_id: null,
      root_run_id: id,
      on_finished_task_id: null,
      created_at: expect.any(String),
      deadline_at: null,
      finished_at: null,
      health: "running",
      counts: { blocked: 2, queued: 1, running: 1, succeeded: 2, failed: 1, cancelled: 0, skipped: 0 },
      started_at: expect.any(String),
      input: { files: 2 ** 64 },
      result: null,
      result_too_large: false,
      steps_cursor: null,
    });
    expect((await api.get(`/v1/runs/${id}`)).text).toContain('"input":{"files":18446744073709551616}');
    expect(steps).toMatchObject([
      { key: "list", task_id: stepId(id, "list"), task: "echo", state: "succeeded", parents: [], elements: null },
      {
        key: "parse",
        state: "blocked",
        parents: ["list"],
        elements: { total: 4, blocked: 0, queued: 1, running: 1, succeeded: 1, failed: 1, cancelled: 0, skipped: 0 },
      },
      { key: "report", state: "blocked", parents: ["list", "parse"], duration_ms: null },
    ]);
    const [list] = steps as { duration_ms: number }[];
    expect(list?.duration_ms).toBe(2_000);
  });

  test.each([
    [{ list: { state: "running" }, parse: { state: "queued" } }, "running"],
    [{ list: { state: "queued", dueInMs: 86_400_000 }, parse: { state: "blocked" } }, "waiting"],
    [{ list: { state: "queued", parkedOn: "limit" }, parse: { state: "blocked" } }, "waiting"],
    [{ list: { state: "succeeded" }, parse: { state: "blocked" } }, "stalled"],
  ] as const)("%j is %s", async (steps, health) => {
    const id = await createRun(api.database, ETL, { ...steps, report: { state: "blocked" } });
    expect(await run(id)).toMatchObject({ health });
  });

  test("one that is over is finished, whatever is left in it", async () => {
    const id = await createRun(api.database, ETL, { list: { state: "failed" } }, { state: "failed" });
    expect(await run(id)).toMatchObject({ state: "failed", health: "finished", result: null });
  });

  test("errors of steps come without their stack", async () => {
    const error = { code: "handler_error", type: "Error", message: "no", stack: "at x" };
    const id = await createRun(api.database, ETL, { list: { state: "failed", error } }, { state: "failed" });
    expect((await run(id)).steps).toMatchObject([
      { error: { code: "handler_error", type: "Error", message: "no" } },
      {},
      {},
    ]);
    expect((await api.get(`/v1/runs/${id}`)).text).not.toContain("at x");
  });

  test("its id may be written without hyphens", async () => {
    const id = await createRun(api.database, ETL);
    expect(await run(id.replaceAll("-", ""))).toMatchObject({ run_id: id });
    expect(await api.get("/v1/runs/one")).toMatchObject({ status: 422 });
  });

  test("is 404 for another tenant's, and for none", async () => {
    const id = await createRun(api.database, ETL, {}, { tenant: "theirs" });
    for (const one of [id, NOBODY]) {
      for (const view of ["", "/steps", "/graph", "/events"]) {
        const answered = await api.get(`/v1/runs/${one}${view}`);
        expect(answered, view).toMatchObject({ status: 404, body: { code: "run_not_found" } });
      }
      for (const verb of ["cancel", "resume"]) {
        expect(await api.post(`/v1/runs/${one}/${verb}`, ""), verb).toMatchObject({ status: 404 });
      }
    }
    expect(await audits()).toEqual([]);
  });

  test("waits until it is over, where it is asked to", async () => {
    const id = await createRun(api.database, { steps: [{ key: "one", task: "echo" }] });
    const waiting = run(id, "?wait_seconds=30&steps=0");
    const end = "update taskiq.run set state = 'succeeded', open_steps = 0, finished_at = now() where id = $1";
    await until(async () => (await ask(api.database, end, [id])) !== undefined);
    expect(await waiting).toMatchObject({ state: "succeeded", steps: [] });
  });

  test("tells its graph as it was posted, and the edges", async () => {
    const graph = { ...ETL, result: { $ref: "report" } };
    const id = await createRun(api.database, graph);
    expect((await api.get(`/v1/runs/${id}/graph`)).body).toEqual({
      run_id: id,
      graph,
      edges: [
        { parent: "list", child: "parse" },
        { parent: "list", child: "report" },
        { parent: "parse", child: "report" },
      ],
    });
  });
});

describe("the result of a run that succeeded", () => {
  const over = { state: "succeeded" } as const;
  const big = "18446744073709551616";

  test("is those of the last steps by key, character for character", async () => {
    const graph: Graph = {
      steps: [
        { key: "a", task: "echo" },
        { key: "b", task: "echo", after: ["a"] },
        { key: "c", task: "echo", map: { $ref: "a" } },
        { key: "d", task: "echo", when: { $ref: "a.no" } },
      ],
    };
    const elements = [{ ...over, result: "1.0" }, { state: "skipped" as const }, { ...over, result: '{"n":2}' }];
    const steps = {
      b: { ...over, result: big },
      c: { ...over, result: null, elements },
      d: { state: "skipped" as const },
    };
    const id = await createRun(api.database, graph, steps, over);
    expect((await api.get(`/v1/runs/${id}`)).text).toContain(`"result":{"b":${big},"c":[1.0,null,{"n":2}],"d":null}`);
  });

  test("is the template, filled", async () => {
    const graph: Graph = {
      steps: [
        { key: "a", task: "echo" },
        { key: "m", task: "echo", map: [1, 2] },
      ],
      result: {
        total: { $ref: "a.total" },
        second: { $ref: "m.1.n" },
        all: { $ref: "m" },
        files: { $input: "files" },
        none: { $ref: "a.nothing" },
        fixed: "x",
      },
    };
    const elements = [
      { ...over, result: '{"n":1}' },
      { ...over, result: '{"n":2}' },
    ];
    const steps = { a: { ...over, result: '{"total":7}' }, m: { ...over, result: null, elements } };
    const id = await createRun(api.database, graph, steps, { ...over, input: '{"files":3}' });
    expect((await run(id)).result).toEqual({
      total: 7,
      second: 2,
      all: [{ n: 1 }, { n: 2 }],
      files: 3,
      none: null,
      fixed: "x",
    });
  });

  test("comes from the payload store where it is kept there, and so does the input", async () => {
    const { aws } = place;
    const address = { region: aws.region, endpoint: aws.endpoint, credentials: aws.credentials };
    const store = openPayloadStore({ ...address, bucket: aws.bucket, maxBytes: 10_000_000 });
    const put = async (text: string) => await store.put(NOBODY, text);
    const stored = { ...over, result: null, resultRef: await put('{"kept":1.50}') };
    const graph: Graph = { steps: [{ key: "a", task: "echo" }] };
    const id = await createRun(api.database, graph, { a: stored }, { ...over, inputRef: await put('{"also":1}') });
    const { text } = await api.get(`/v1/runs/${id}`);
    expect(text).toContain('"result":{"a":{"kept":1.50}}');
    expect(text).toContain('"input":{"also":1}');
    const large = { ...over, result: null, resultRef: await put(JSON.stringify("x".repeat(1_100_000))) };
    const other = await createRun(api.database, graph, { a: large }, over);
    expect(await run(other)).toMatchObject({ state: "succeeded", result: null, result_too_large: true });
    store.close();
  });

  test("is left out above 1 MiB, and says so; a small part of large results is not", async () => {
    const steps = Array.from({ length: 3 }, (_, at) => ({ key: `s${at}`, task: "echo" }));
    const result = JSON.stringify({ text: "x".repeat(400_000), n: 1 });
    const rows = Object.fromEntries(steps.map(({ key }) => [key, { ...over, result }]));
    const whole = await createRun(api.database, { steps }, rows, over);
    expect(await run(whole)).toMatchObject({ result: null, result_too_large: true });
    const template = { sum: steps.map(({ key }) => ({ $ref: `${key}.n` })) };
    const picked = await createRun(api.database, { steps, result: template }, rows, over);
    expect(await run(picked)).toMatchObject({ result: { sum: [1, 1, 1] }, result_too_large: false });
  });
});

describe("the steps of a run", () => {
  const wide: Graph = { steps: Array.from({ length: 7 }, (_, at) => ({ key: `s${at}`, task: "echo" })) };

  test("come page by page, and by state", async () => {
    const failed = { state: "failed" as const };
    const id = await createRun(api.database, wide, { s1: failed, s4: failed, s6: failed });
    const page = async (query: string) => (await api.get(`/v1/runs/${id}/steps?${query}`)).body;
    const first = await page("limit=3");
    expect([keys(first), first.next_cursor]).toEqual([["s0", "s1", "s2"], "3"]);
    const second = await page("limit=3&cursor=3");
    expect([keys(second), second.next_cursor]).toEqual([["s3", "s4", "s5"], "6"]);
    const third = await page("limit=3&cursor=6");
    expect([keys(third), third.next_cursor]).toEqual([["s6"], null]);
    const some = await page("state=failed&limit=2");
    expect([keys(some), some.next_cursor]).toEqual([["s1", "s4"], "5"]);
    const rest = await page("state=failed,running&limit=2&cursor=5");
    expect([keys(rest), rest.next_cursor]).toEqual([["s6"], null]);
    expect(await run(id, "?steps=2")).toMatchObject({ steps: [{ key: "s0" }, { key: "s1" }], steps_cursor: "2" });
    expect(keys(await page("cursor=99"))).toEqual([]);
    for (const bad of ["limit=0", "limit=1001", "cursor=x", "state=done", "nothing=1"]) {
      expect(await api.get(`/v1/runs/${id}/steps?${bad}`), bad).toMatchObject({ status: 422 });
    }
  });

  test("elements are listed only where they are asked for", async () => {
    const elements = Array.from({ length: 5 }, (_, at) => ({
      state: at === 3 ? ("failed" as const) : ("queued" as const),
    }));
    const id = await createRun(api.database, ETL, {
      list: { state: "succeeded" },
      parse: { state: "blocked", elements },
    });
    const page = async (query: string) => (await api.get(`/v1/runs/${id}/steps?${query}`)).body;
    expect(keys(await page(""))).toEqual(["list", "parse", "report"]);
    const first = await page("of=parse&limit=2");
    expect([keys(first), first.next_cursor]).toEqual([["parse[0]", "parse[1]"], "2"]);
    const last = await page("of=parse&limit=2&cursor=4");
    expect([keys(last), last.next_cursor]).toEqual([["parse[4]"], null]);
    expect(keys(await page("of=parse&state=failed"))).toEqual(["parse[3]"]);
    for (const of of ["list", "nothing"]) {
      expect(await api.get(`/v1/runs/${id}/steps?of=${of}`)).toMatchObject({
        status: 422,
        body: { issues: [{ path: "of" }] },
      });
    }
    const early = await createRun(api.database, ETL, { parse: { state: "blocked" } });
    expect((await api.get(`/v1/runs/${early}/steps?of=parse`)).body).toEqual({ steps: [], next_cursor: null });
  });
});

describe("a run of the mode simple", () => {
  const record = {
    state: "failed",
    steps: {
      list: step("succeeded", { files: [1, 2] }, 1, 10, 20),
      parse: step("failed", null, 1, 20, 40),
      "parse[0]": step("succeeded", 1, 1, 20, 30),
      "parse[1]": step("failed", null, 3, 20, 40),
      report: step("skipped", null, 0, null, 40),
    },
    result: null,
  };

  function step(state: string, result: unknown, attempts: number, from: number | null, to: number) {
    const at = (ms: number | null) => (ms === null ? null : new Date(1_700_000_000_000 + ms).toISOString());
    const error = state === "failed" ? { code: "handler_error", type: "Error", message: "no", stack: "s" } : null;
    return { state, result, error, attempts, started_at: at(from), finished_at: at(to) };
  }

  test("shows the one task that it is until it is over", async () => {
    const columns = { state: "running", progress: 0.5, progressMessage: "parse" } as const;
    const id = await createRun(api.database, ETL, { "*": columns }, { mode: "simple" });
    expect(await run(id)).toMatchObject({
      mode: "simple",
      health: "running",
      counts: { running: 1 },
      steps: [{ key: "*", task: "taskiq.simple_run", progress: 0.5, progress_message: "parse" }],
    });
  });

  test("shows the steps of its record afterwards", async () => {
    const columns = { state: "succeeded", result: JSON.stringify(record) } as const;
    const id = await createRun(api.database, ETL, { "*": columns }, { mode: "simple", state: "failed" });
    expect(await run(id)).toMatchObject({
      state: "failed",
      counts: { succeeded: 2, failed: 2, skipped: 1, running: 0 },
      result: null,
      steps: [
        { key: "list", task: "echo", task_id: null, state: "succeeded", attempt: 1, duration_ms: 10 },
        { key: "parse", state: "failed", elements: { total: 2, succeeded: 1, failed: 1 }, parents: ["list"] },
        { key: "report", state: "skipped", started_at: null },
      ],
    });
    const elements = (await api.get(`/v1/runs/${id}/steps?of=parse&state=failed`)).body;
    expect(elements).toMatchObject({ steps: [{ key: "parse[1]", attempt: 3, failures: 3 }], next_cursor: null });
    expect(elements.steps).not.toMatchObject([{ error: { stack: "s" } }]);
    expect(keys((await api.get(`/v1/runs/${id}/steps?limit=1&cursor=1`)).body)).toEqual(["parse"]);
  });

  test("has the result of its record", async () => {
    const result = JSON.stringify({ ...record, state: "succeeded", result: { total: 3 } });
    const columns = { state: "succeeded", result } as const;
    const id = await createRun(api.database, ETL, { "*": columns }, { mode: "simple", state: "succeeded" });
    expect((await run(id)).result).toEqual({ total: 3 });
  });

  test("shows the task where it left no record", async () => {
    const id = await createRun(api.database, ETL, { "*": { state: "failed" } }, { mode: "simple", state: "failed" });
    expect(await run(id)).toMatchObject({ counts: { failed: 1 }, steps: [{ key: "*", state: "failed" }] });
  });
});

describe("listing runs", () => {
  test("newest first, by filter, page by page", async () => {
    const one = { steps: [{ key: "one", task: "echo" }] };
    const ids: string[] = [];
    for (let at = 0; at < 6; at++) {
      const state = at % 2 === 0 ? "running" : "failed";
      const labels = JSON.stringify({ n: String(at % 3) });
      const job = at < 3 ? "etl" : null;
      ids.unshift(await createRun(api.database, one, {}, { state, labels, job, createdMsAgo: 60_000 - at * 10_000 }));
    }
    await createRun(api.database, one, {}, { tenant: "theirs" });
    const list = async (query = "") => (await api.get(`/v1/runs?${query}`)).body;
    const found = async (query = "") => ((await list(query)).runs as { run_id: string }[]).map(({ run_id }) => run_id);
    const at = (...places: number[]) => places.map((place) => ids[place]);
    expect(await found()).toEqual(ids);
    expect(await found("state=running")).toEqual(at(1, 3, 5));
    expect(await found("state=failed")).toEqual(at(0, 2, 4));
    expect(await found("state=running,failed&job=etl")).toEqual(at(3, 4, 5));
    expect(await found("state=running&job=etl&label=n%3D0")).toEqual(at(5));
    expect(await found("label=n%3D1")).toEqual(at(1, 4));
    const middle = new Date(Date.now() - 35_000).toISOString();
    expect(await found(`created_after=${middle}`)).toEqual(at(0, 1, 2));
    expect(await found(`created_before=${middle}&state=running`)).toEqual(at(3, 5));
    for (const filter of ["", "state=running&"]) {
      const paged: string[] = [];
      for (let cursor: unknown = ""; cursor !== null; ) {
        const page = await list(`${filter}limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
        paged.push(...(page.runs as { run_id: string }[]).map(({ run_id }) => run_id));
        cursor = page.next_cursor;
      }
      expect(paged).toEqual(filter === "" ? ids : at(1, 3, 5));
    }
    for (const bad of ["state=queued", "limit=0", "cursor=x", "created_after=now"]) {
      expect(await api.get(`/v1/runs?${bad}`), bad).toMatchObject({ status: 422 });
    }
  });
});

describe("changing a run", () => {
  test("cancels it: 202 while something runs, 200 when nothing did, 409 when it was over", async () => {
    const two = { steps: ["a", "b"].map((key) => ({ key, task: "echo" })) };
    const running = await createRun(api.database, two, { a: { state: "running" } });
    const waiting = await createRun(api.database, two);
    const done = await createRun(api.database, two, {}, { state: "succeeded" });
    expect(await api.post(`/v1/runs/${running}/cancel`, { reason: "why" })).toMatchObject({
      status: 202,
      body: { run_id: running, state: "running" },
    });
    expect(await run(running)).toMatchObject({
      cancel_requested: true,
      cancel_reason: "why",
      steps: [{ state: "running" }, { state: "cancelled" }],
    });
    expect(await api.post(`/v1/runs/${waiting}/cancel`, "")).toMatchObject({
      status: 200,
      body: { state: "cancelled" },
    });
    const refused = await api.post(`/v1/runs/${done}/cancel`, "");
    expect(refused).toMatchObject({ status: 409, body: { code: "run_finished" } });
    expect(refused.body.detail).toContain("is succeeded");
    expect(await audits()).toMatchObject([
      { action: "run.cancel", target: running },
      { action: "run.cancel", target: waiting },
    ]);
  });

  test("resumes it, which rings for what waits", async () => {
    const id = await createRun(api.database, ETL, {
      list: { announcedMsAgo: 60_000 },
      parse: { state: "blocked" },
      report: { state: "blocked" },
    });
    const { status, body } = await api.post(`/v1/runs/${id}/resume`, "");
    expect({ status, body }).toEqual({ status: 200, body: { run_id: id, state: "running", rung: 1 } });
    expect(await audits()).toMatchObject([{ action: "run.resume", target: id }]);
  });

  test.each([["from_failure"], ["all"], [["load*", "report"]]])("runs it again: %j", async (steps) => {
    const old = "0198f3c0-0000-7000-8000-000000000001";
    const { status, headers, body } = await api.post(
      `/v1/runs/${old}/reexecute`,
      { steps },
      { "idempotency-key": "k" },
    );
    expect({ status, location: headers.location, body }).toEqual({
      status: 202,
      location: `/v1/runs/${NOBODY}`,
      body: { run_id: NOBODY, state: "running" },
    });
    expect(submitted).toEqual([[old, { tenant: "default", steps, idempotencyKey: "k", traceContext: null }]]);
    expect(await audits()).toMatchObject([{ action: "run.reexecute", target: old }]);
  });

  test.each([[{}], [{ steps: "some" }], [{ steps: [] }], [{ steps: ["a b"] }]])(
    "%j is no choice of steps",
    async (body) => {
      expect(await api.post(`/v1/runs/${NOBODY}/reexecute`, body)).toMatchObject({
        status: 422,
        body: { code: "request_invalid" },
      });
    },
  );
});

test("answers are what the document says", async () => {
  const { components } = (await api.get("/openapi.json")).body as {
    components?: { schemas: Record<string, { required: string[] }> };
  };
  const id = await createRun(api.database, ETL);
  const first = async (url: string, list: string) => ((await api.get(url)).body[list] as object[])[0] ?? {};
  for (const [name, answered] of [
    ["Run", await run(id)],
    ["RunSummary", await first("/v1/runs", "runs")],
    ["Step", await first(`/v1/runs/${id}/steps`, "steps")],
    ["JobSummary", await first("/v1/jobs", "jobs")],
    ["Job", (await api.get("/v1/jobs/etl")).body],
  ] as const) {
    expect(Object.keys(answered), name).toEqual(components?.schemas[name]?.required);
  }
});

test("tasks of a run are tasks: its steps can be looked at one by one", async () => {
  const id = await createRun(api.database, ETL);
  await createTasks(api.database, [{}]);
  expect((await api.get(`/v1/tasks/${stepId(id, "list")}`)).body).toMatchObject({ task: "echo", state: "queued" });
});
