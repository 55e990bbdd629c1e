import type { Incident } from "../src/types";

/** An incident as the hub shows it, with what a test cares about changed. */
export function incident(changes: Partial<Incident> = {}): Incident {
  return {
    incident: 1, site: "wuzhen", group: "fire", kind: "smoke", priority: 0, zone: "guest-house",
    zone_name_zh: "水乡客栈", zone_name_en: "Guest house", subject: "", subject_name: null,
    subject_name_zh: null, phase: "open",
    opened_at: "2026-11-24T12:00:00Z", last_alarm_at: "2026-11-24T12:00:00Z", late: false, alarm_count: 1, uncleared: [],
    previous: null, version: 1, longitude: 120.4839, latitude: 30.7436, allowed: ["acknowledge", "note"], ...changes,
  };
}
