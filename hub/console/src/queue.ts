// The order of the incident queue and what counts as new. Pure.

import type { Incident, Phase } from "./types";

/** Nobody has it yet, somebody works on it, only the closing is left. */
export type Stage = "waiting" | "working" | "settled";

const STAGES: Record<Phase, Stage> = {
  open: "waiting",
  acknowledged: "working",
  dispatched: "working",
  on_scene: "working",
  resolved: "settled",
  closed: "settled",
};

export const PHASES: readonly Phase[] = ["open", "acknowledged", "dispatched", "on_scene", "resolved", "closed"];

export function stageOf(incident: Pick<Incident, "phase">): Stage {
  return STAGES[incident.phase] ?? "waiting";
}

/** Priority, then unacknowledged first, then the longest waiting. What is handled and only not closed yet comes last. */
export function byUrgency(a: Incident, b: Incident): number {
  return (
    Number(stageOf(a) === "settled") - Number(stageOf(b) === "settled") ||
    a.priority - b.priority ||
    Number(stageOf(a) !== "waiting") - Number(stageOf(b) !== "waiting") ||
    a.opened_at.localeCompare(b.opened_at) ||
    a.incident - b.incident
  );
}

export function newestFirst(a: Incident, b: Incident): number {
  return b.opened_at.localeCompare(a.opened_at) || b.incident - a.incident;
}

export type Cue = "none" | "quiet" | "loud" | "life";

/** How a change is announced. Replayed (late) alarms are not announced as if they were fresh. */
export function cueOf(before: Incident | undefined, after: Incident): Cue {
  if (stageOf(after) !== "waiting") return "none";
  const raised = !before || stageOf(before) !== "waiting" || after.priority < before.priority;
  if (!raised) return "none";
  if (after.late) return "quiet";
  if (after.priority === 0) return "life";
  return after.priority === 1 ? "loud" : "quiet";
}

const NEWS_MAX = 3;

/** What a load brought that the stream did not tell (it was away), most urgent first. At the first load all is new:
 *  only lives in danger are told. */
export function newsOf(before: ReadonlyMap<number, Incident>, after: ReadonlyMap<number, Incident>, first: boolean) {
  return [...after.values()]
    .map((incident) => ({ cue: cueOf(before.get(incident.incident), incident), incident }))
    .filter(({ cue }) => cue === "life" || (!first && cue !== "none"))
    .sort((a, b) => byUrgency(a.incident, b.incident))
    .slice(0, NEWS_MAX);
}

/** Lists loaded from the hub, with what the stream said meanwhile; the higher version wins. */
export function mergeLoaded(loaded: Iterable<Incident>, meanwhile: Iterable<Incident>): Map<number, Incident> {
  const merged = new Map<number, Incident>();
  for (const incident of loaded) merged.set(incident.incident, incident);
  for (const incident of meanwhile) {
    const held = merged.get(incident.incident);
    if (!held || incident.version >= held.version) merged.set(incident.incident, incident);
  }
  return merged;
}

/** The action that moves the incident on; the others stand behind it. */
export function nextAction(allowed: readonly string[]): string | null {
  const order = ["acknowledge", "dispatch", "arrive", "resolve", "close"];
  return order.find((action) => allowed.includes(action)) ?? null;
}

export const NEEDS_REASON: ReadonlySet<string> = new Set(["resolve", "close", "note"]);
const CLOSED_ONLY_WHEN_CLEAR: ReadonlySet<string> = new Set(["fire", "person"]);

/** Whether closing it asks the operator to say that what is still raised is isolated. */
export function asksIsolated(incident: Pick<Incident, "group" | "uncleared">, action: string): boolean {
  return action === "close" && incident.uncleared.length > 0 && CLOSED_ONLY_WHEN_CLEAR.has(incident.group);
}
