import { describe, expect, it } from "vitest";
import { asksIsolated, byUrgency, cueOf, mergeLoaded, newsOf, nextAction } from "../src/queue";
import { incident } from "./builders";

const order = (...found: ReturnType<typeof incident>[]) => found.sort(byUrgency).map((one) => one.incident);

describe("the queue", () => {
  it("puts priority first, then the unacknowledged, then the longest waiting", () => {
    const fault = incident({ incident: 1, priority: 2, opened_at: "2026-11-24T11:00:00Z" });
    const known = incident({ incident: 2, priority: 0, phase: "on_scene", opened_at: "2026-11-24T11:10:00Z" });
    const fresh = incident({ incident: 3, priority: 0, opened_at: "2026-11-24T12:10:00Z" });
    const old = incident({ incident: 4, priority: 0, opened_at: "2026-11-24T12:00:00Z" });
    expect(order(fault, known, fresh, old)).toEqual([4, 3, 2, 1]);
  });

  it("puts what is handled and not closed yet behind what still needs somebody", () => {
    const handled = incident({ incident: 1, priority: 0, phase: "resolved" });
    const state = incident({ incident: 2, priority: 3 });
    expect(order(handled, state)).toEqual([2, 1]);
  });

  it("keeps one order whatever the order of arrival", () => {
    const twins = [7, 3, 5].map((number) => incident({ incident: number }));
    expect(order(...twins)).toEqual([3, 5, 7]);
  });
});

describe("what is announced", () => {
  it("is loud for new P0 and P1, quiet for the rest", () => {
    expect([0, 1, 2, 3].map((priority) => cueOf(undefined, incident({ priority })))).toEqual(["life", "loud", "quiet", "quiet"]);
  });

  it("is never loud for a late report", () => {
    expect(cueOf(undefined, incident({ priority: 0, late: true }))).toBe("quiet");
  });

  it("is nothing for what is known, and loud again when it is raised again or grows worse", () => {
    const known = incident({ alarm_count: 1 });
    expect(cueOf(known, incident({ alarm_count: 9 }))).toBe("none");
    expect(cueOf(incident({ phase: "resolved" }), incident())).toBe("life");
    expect(cueOf(incident({ priority: 2 }), incident({ priority: 0 }))).toBe("life");
    expect(cueOf(incident(), incident({ phase: "acknowledged" }))).toBe("none");
  });
});

describe("loading while the stream speaks", () => {
  it("keeps the higher version of each incident", () => {
    const merged = mergeLoaded(
      [incident({ incident: 1, version: 3 }), incident({ incident: 2, version: 1 })],
      [incident({ incident: 1, version: 2 }), incident({ incident: 2, version: 4 }), incident({ incident: 3 })],
    );
    expect([...merged.values()].map((one) => [one.incident, one.version])).toEqual([[1, 3], [2, 4], [3, 1]]);
  });
});

describe("steps", () => {
  it("names the one that moves the incident on", () => {
    expect(nextAction(["dispatch", "resolve", "note"])).toBe("dispatch");
    expect(nextAction(["close", "note"])).toBe("close");
    expect(nextAction(["note"])).toBeNull();
  });

  it("asks for isolation only when a fire or a person's alarm is still raised", () => {
    const uncleared = [{ device: "gbt26875:889", kind: "smoke", component: "18" }];
    expect(asksIsolated(incident({ uncleared }), "close")).toBe(true);
    expect(asksIsolated(incident({ uncleared, group: "vehicle" }), "close")).toBe(false);
    expect(asksIsolated(incident(), "close")).toBe(false);
    expect(asksIsolated(incident({ uncleared }), "resolve")).toBe(false);
  });
});

describe("news of a load", () => {
  const held = (...incidents: ReturnType<typeof incident>[]) => new Map(incidents.map((one) => [one.incident, one]));
  const numbers = (...of: Parameters<typeof newsOf>) => newsOf(...of).map((news) => news.incident.incident);
  const fault = incident({ incident: 2, priority: 2 });

  it("is what the stream did not tell, the most urgent first", () => {
    expect(numbers(held(), held(fault, incident()), false)).toEqual([1, 2]);
    expect(numbers(held(incident(), fault), held(fault, incident()), false)).toEqual([]);
  });

  it("is only lives in danger at the first load, not late ones, and never a flood", () => {
    expect(numbers(held(), held(fault, incident(), incident({ incident: 3, late: true })), true)).toEqual([1]);
    expect(numbers(held(), held(...Array.from({ length: 9 }, (_, index) => incident({ incident: index }))), true)).toHaveLength(3);
  });
});
