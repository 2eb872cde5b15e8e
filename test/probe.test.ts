import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { Clock } from "../runtime/clock.ts";
import { followProgress, type Liveness, type Probe, type ProbeOptions, startProbe } from "../runtime/probe.ts";

const probes: Probe[] = [];
afterEach(async () => {
  await Promise.all(probes.splice(0).map((probe) => probe.close()));
});

async function started(
  live: () => Liveness,
  metrics: ProbeOptions["metrics"] = null,
): Promise<{ probe: Probe; url: string }> {
  const probe = await startProbe({ host: "127.0.0.1", port: 0, live, metrics });
  probes.push(probe);
  return { probe, url: `http://127.0.0.1:${probe.port}` };
}

describe("startProbe", () => {
  it("answers 200 while the process is alive and 503 as soon as it is not, and says why", async () => {
    let liveness: Liveness = { ok: true, why: "moved 3 ms ago" };
    const { url } = await started(() => liveness);
    const alive = await fetch(`${url}/livez`);
    expect([alive.status, await alive.text()]).toEqual([200, "moved 3 ms ago\n"]);
    liveness = { ok: false, why: "has not moved for 91000 ms" };
    const dead = await fetch(`${url}/livez?verbose`);
    expect([dead.status, await dead.text()]).toEqual([503, "has not moved for 91000 ms\n"]);
    expect((await fetch(`${url}/livez`, { method: "HEAD" })).status).toBe(503);
  });

  it("counts a process that cannot tell as not alive", async () => {
    const { url } = await started(() => {
      throw new Error("no loop");
    });
    const answer = await fetch(`${url}/livez`);
    expect([answer.status, await answer.text()]).toEqual([503, "could not tell: no loop\n"]);
  });

  it("shows the metrics it is given, in their own type", async () => {
    const metrics = { text: async () => "taskq_busy_ratio 1\n", contentType: "text/plain; version=0.0.4" };
    const { url } = await started(() => ({ ok: true, why: "" }), metrics);
    const answer = await fetch(`${url}/metrics`);
    expect([answer.status, answer.headers.get("content-type"), await answer.text()]).toEqual([
      200,
      "text/plain; version=0.0.4",
      "taskq_busy_ratio 1\n",
    ]);
  });

  it("says how to have metrics where there are none, and what failed where they cannot be read", async () => {
    const none = await fetch(`${(await started(() => ({ ok: true, why: "" }))).url}/metrics`);
    expect([none.status, await none.text()]).toEqual([
      404,
      "no metrics: put prometheus into TASKIQ_METRICS to have them here\n",
    ]);
    const broken = { text: () => Promise.reject(new Error("no registry")), contentType: "text/plain" };
    const failed = await fetch(`${(await started(() => ({ ok: true, why: "" }), broken)).url}/metrics`);
    expect([failed.status, await failed.text()]).toEqual([500, "could not be read: no registry\n"]);
  });

  it("serves nothing else", async () => {
    const { url } = await started(() => ({ ok: true, why: "" }));
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/livez`, { method: "POST", body: "x" })).status).toBe(404);
  });

  it("says what to do when its port is taken", async () => {
    const { probe } = await started(() => ({ ok: true, why: "" }));
    const second = startProbe({ host: "127.0.0.1", port: probe.port, live: () => ({ ok: true, why: "" }) });
    await expect(second).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringMatching(/EADDRINUSE.*Set TASKIQ_PROBE_PORT to a free port, or to 0/),
    });
  });

  it("closes at once, also with a connection open that never asks, and may be closed twice", async () => {
    const { probe } = await started(() => ({ ok: true, why: "" }));
    const socket = connect(probe.port, "127.0.0.1");
    await once(socket, "connect");
    const closed = once(socket, "close");
    await probe.close();
    await closed;
    await probe.close();
  });
});

describe("followProgress", () => {
  function follow() {
    let nowMs = 5_000;
    const clock: Clock = { nowMs: () => nowMs, wallMs: () => 0, after: () => Promise.resolve() };
    return { progress: followProgress(clock), pass: (ms: number) => (nowMs += ms) };
  }

  it("is alive for 90 s after the last round and no longer", () => {
    const { progress, pass } = follow();
    pass(90_000);
    expect(progress.live().ok).toBe(true);
    pass(1);
    expect(progress.live()).toEqual({ ok: false, why: "has not moved for 90001 ms, more than 90000 ms" });
    progress.moved();
    expect(progress.live()).toEqual({ ok: true, why: "moved 0 ms ago" });
  });

  it("is alive however long it is paused on purpose", () => {
    const { progress, pass } = follow();
    progress.paused("the database is away");
    pass(24 * 3_600_000);
    expect(progress.live()).toEqual({ ok: true, why: "paused on purpose: the database is away" });
  });

  it("is measured again from the round that ends a pause", () => {
    const { progress, pass } = follow();
    progress.paused("the database is away");
    pass(200_000);
    progress.moved();
    pass(89_999);
    expect(progress.live().ok).toBe(true);
    pass(2);
    expect(progress.live().ok).toBe(false);
  });
});
