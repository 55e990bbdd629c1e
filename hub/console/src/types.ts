// The shapes of the hub's HTTP API that the console reads. Times are ISO 8601 in UTC.

export type Phase = "open" | "acknowledged" | "dispatched" | "on_scene" | "resolved" | "closed";

export interface Me {
  name: string;
  display_name: string;
  role: string;
  expires_at: string;
}

export interface Site {
  site: string;
  name_zh: string;
  name_en: string;
  time_zone: string;
  longitude: number;
  latitude: number;
}

export interface ZoneProperties {
  zone: string;
  name_zh: string;
  name_en: string;
  purpose: string;
  ring: number;
}

export interface Geometry {
  type: string;
  coordinates: unknown;
}

export interface Zone {
  type: "Feature";
  id?: string | number;
  properties: ZoneProperties;
  geometry: Geometry;
}

export interface Position {
  device: string;
  longitude: number;
  latitude: number;
  observed_at: string;
  received_at: string;
  accuracy_m: number | null;
  speed_kmh: number | null;
  course_deg: number | null;
  fix: string;
  zone: string | null;
}

export interface Device {
  device: string;
  family: string;
  kind: string;
  name: string;
  name_zh: string;
  site: string;
  zone: string | null;
  gateway: string | null;
  floor: string | null;
  longitude: number | null;
  latitude: number | null;
  last_seen: string | null;
  alarms: string[];
  position: Position | null;
}

export interface Value {
  metric: string;
  component: string;
  value: number;
  unit: string;
  observed_at: string;
}

export interface Series {
  device: string;
  metric: string;
  component: string;
  unit: string;
  from: string;
  to: string;
  bucket_s: number;
  items: SeriesPoint[];
}

export interface SeriesPoint {
  at: string;
  min: number;
  max: number;
  mean: number;
  count: number;
}

export interface DeviceEvent {
  device: string;
  class: "alarm" | "event";
  kind: string;
  raised: boolean | null;
  priority: number;
  component: string;
  description: string;
  attributes: Record<string, string>;
  zone: string | null;
  observed_at: string;
  received_at: string;
  committed_at: string;
  late: boolean;
  incident: number | null;
}

export interface Gateway {
  gateway: string;
  site: string | null;
  online: boolean;
  version: string | null;
  clock_skew_s: number | null;
  spool_rows: number | null;
  documents: Record<string, number> | null;
  actuators: Record<string, string> | null;
  state_at: string | null;
}

export interface Condition {
  device: string;
  kind: string;
  component: string;
}

export interface Incident {
  incident: number;
  site: string | null;
  group: string;
  kind: string;
  priority: number;
  zone: string | null;
  zone_name_zh: string | null;
  zone_name_en: string | null;
  subject: string;
  subject_name: string | null;
  subject_name_zh: string | null;
  phase: Phase;
  opened_at: string;
  last_alarm_at: string;
  late: boolean;
  alarm_count: number;
  uncleared: Condition[];
  previous: number | null;
  version: number;
  longitude: number | null;
  latitude: number | null;
  allowed: string[];
  merged_into?: number | null;
}

export interface Step {
  number: number;
  action: string;
  actor: string;
  at: string;
  cause: string;
  phase: Phase;
  detail: Record<string, unknown>;
}

export interface IncidentAlarm {
  device: string;
  kind: string;
  raised: boolean;
  priority: number;
  component: string;
  description: string;
  zone: string | null;
  observed_at: string;
  received_at: string;
  committed_at: string;
  seen_at: string | null;
  late: boolean;
}

export interface IncidentDetail extends Incident {
  steps: Step[];
  alarms: IncidentAlarm[];
  through: string | null;
}

export interface Stranger {
  gateway: string;
  device: string;
  family: string;
  link: string;
  site: string | null;
  first_seen: string;
  last_seen: string;
  frames: number;
  frame: string;
  said: { name?: string; maker?: string; model?: string };
}

export interface Enrolment {
  gateway: string;
  device: string;
  family: string;
  link: string;
  name: string;
  zone: string | null;
  floor: string | null;
  longitude: number | null;
  latitude: number | null;
  actor: string;
  at: string;
  document: number;
  state: "waiting" | "held" | "refused";
  reason: string;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface CommandDone {
  nonce: string;
  result: "confirmed" | "accepted" | "refused" | "expired" | "unanswered";
  reason: string;
}
