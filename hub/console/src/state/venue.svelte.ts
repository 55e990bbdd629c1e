// What the hub knows, as this page shows it: loaded as lists, kept fresh by the stream, and loaded again whenever the
// stream was away. Every list has a limit; what does not fit is said, not hidden.

import { get, list, route } from "../api";
import { byUrgency, cueOf, mergeLoaded, newsOf, newestFirst, stageOf, type Cue } from "../queue";
import { Stream } from "../stream";
import type { SymbolState } from "../map/symbols";
import type { Device, Gateway, Incident, Position, Site, Zone } from "../types";
import { clock } from "./clock.svelte";
import { cues } from "./cues.svelte";
import { deviceText, outputText } from "../naming";
import { knocking } from "./knocking.svelte";
import { orders } from "./orders.svelte";
import { local, name, preferences, t } from "./preferences.svelte";
import { session } from "./session.svelte";

export const ACTIVE_MAX = 500;
export const CLOSED_MAX = 100;
const DEVICES_MAX = 10_000;
const SITES_MAX = 200;
const GATEWAYS_MAX = 1000;
const RELOAD_MS_MIN = 2000;
const RETRY_MS = 10_000;

interface DeviceChange {
  device: string;
  last_seen: string | null;
  alarms: string[];
}

class Venue {
  sites = $state.raw<Site[]>([]);
  chosen = $state<string | null>(null);
  zones = $state.raw<Zone[]>([]);
  devices = $state.raw<ReadonlyMap<string, Device>>(new Map());
  gateways = $state.raw<Gateway[]>([]);
  incidents = $state.raw<ReadonlyMap<number, Incident>>(new Map());
  closed = $state.raw<Incident[]>([]);
  closedWanted = $state(false);
  loaded = $state(false);
  loadProblem = $state.raw<unknown>(null);
  live = $state<"connecting" | "live" | "lost">("connecting");
  heardAt = $state<number | null>(null); // hub time of the last sign of life

  alarmPriority = $state.raw<ReadonlyMap<string, number>>(new Map());

  private stream: Stream | null = null;
  private meanwhile = new Map<number, Incident>();
  private loading = false;
  private again = false;
  private run = 0; // counts start and stop: what was asked in an earlier session is dropped when it comes
  private reloadTimer: ReturnType<typeof setTimeout> | undefined;

  site = $derived(this.sites.find((site) => site.site === this.chosen) ?? this.sites[0] ?? null);
  timeZone = $derived(this.site?.time_zone ?? "UTC");
  active = $derived(this.ofSite([...this.incidents.values()]).sort(byUrgency));
  waiting = $derived(this.active.filter((incident) => stageOf(incident) === "waiting"));
  closedHere = $derived(this.ofSite(this.closed));
  zoneById = $derived(new Map(this.zones.map((zone) => [zone.properties.zone, zone.properties])));

  start(): void {
    this.run += 1;
    this.loading = this.again = false;
    this.stream = new Stream({
      opened: () => (this.live = "live"),
      heard: () => (this.heardAt = clock.now),
      event: (event, body) => this.receive(event, body),
      lost: () => this.lost(),
      refused: () => void session.ask(),
    });
    this.stream.start(); // its hello loads everything
  }

  stop(): void {
    this.run += 1;
    this.stream?.stop();
    this.stream = null;
    this.loadProblem = null;
    clearTimeout(this.reloadTimer);
    this.live = "connecting";
    this.heardAt = null;
    this.loaded = false;
    this.closedWanted = false;
    orders.forget();
    knocking.forget();
    [this.devices, this.incidents, this.closed, this.gateways] = [new Map(), new Map(), [], []];
  }

  retry(): void {
    this.stream?.retryNow();
    void this.load();
  }

  choose(site: string): void {
    this.chosen = site;
    void this.load();
  }

  async showClosed(): Promise<void> {
    this.closedWanted = true;
    await this.loadClosed();
  }

  zoneName(zone: string | null | undefined): string {
    const found = zone ? this.zoneById.get(zone) : undefined;
    return found ? local(found.name_zh, found.name_en) : (zone ?? "");
  }

  deviceName(device: string): string {
    return deviceText(preferences.language, device, this.devices.get(device));
  }

  /** Of the incident, or of the device that it is about. */
  subjectName(incident: Incident): string {
    const known = local(incident.subject_name_zh, incident.subject_name);
    return known && known !== incident.subject ? known : incident.subject && this.deviceName(incident.subject);
  }

  /** The zone of an incident, else whom it is about. */
  placeName(incident: Incident): string {
    return local(incident.zone_name_zh, incident.zone_name_en) || this.subjectName(incident) || t("incident.noZone");
  }

  outputName(actuator: string): string {
    return outputText(preferences.language, actuator, (zone) => (this.zoneById.has(zone) ? this.zoneName(zone) : null));
  }

  gatewayOffline(device: Device): boolean {
    return this.gateways.some((gateway) => gateway.gateway === device.gateway && !gateway.online);
  }

  /** A step of this page answered with the incident's new state: do not wait for the stream to say it. */
  take(incident: Incident): void {
    const held = this.incidents.get(incident.incident);
    if (held && held.version > incident.version) return;
    this.place(incident);
  }

  /** Everything, from the hub. One at a time; asked again meanwhile, it runs once more. */
  async load(): Promise<void> {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    this.meanwhile.clear();
    const run = this.run;
    let problem: unknown = null;
    try {
      await this.loadLists(run);
    } catch (error) {
      problem = error;
    }
    if (run !== this.run) return;
    this.loading = false;
    this.loadProblem = problem;
    if (problem === null) {
      this.loaded = true;
      void knocking.load(this.site?.site);
    }
    if (this.loadProblem) this.reloadIn(RETRY_MS);
    else if (this.again) this.reloadIn(RELOAD_MS_MIN);
  }

  private async loadLists(run: number): Promise<void> {
    this.sites = await list<Site>("/sites", {}, SITES_MAX);
    if (this.alarmPriority.size === 0) await this.loadDictionary();
    const here = this.site?.site;
    const [zones, devices, gateways, incidents] = await Promise.all([
      here ? get<{ features: Zone[] }>(route`/sites/${here}/zones`) : { features: [] },
      list<Device>("/devices", here ? { site: here } : {}, DEVICES_MAX),
      list<Gateway>("/gateways", {}, GATEWAYS_MAX),
      list<Incident>("/incidents", { phase: "active" }, ACTIVE_MAX),
    ]);
    if (run !== this.run) return;
    this.zones = zones.features;
    this.devices = new Map(devices.map((device) => [device.device, device]));
    this.gateways = gateways;
    const merged = mergeLoaded(incidents, this.meanwhile.values());
    for (const incident of merged.values()) if (incident.phase === "closed") merged.delete(incident.incident);
    const news = newsOf(this.incidents, merged, !this.loaded);
    this.incidents = merged;
    for (const { cue, incident } of news) this.announce(cue, incident);
    if (this.closedWanted) await this.loadClosed();
  }

  private async loadDictionary(): Promise<void> {
    const { alarms } = await get<{ alarms: { name: string; priority: number }[] }>("/dictionary");
    this.alarmPriority = new Map(alarms.map((alarm) => [alarm.name, alarm.priority]));
  }

  private async loadClosed(): Promise<void> {
    const found = await list<Incident>("/incidents", { phase: "closed" }, CLOSED_MAX);
    this.closed = found.sort(newestFirst);
  }

  private reloadIn(ms: number): void {
    this.again = false;
    clearTimeout(this.reloadTimer);
    this.reloadTimer = setTimeout(() => {
      if (this.stream) void this.load();
    }, ms);
  }

  /** Without a stream the lists are still worth having once; the banner says that they grow old. */
  private lost(): void {
    this.live = "lost";
    if (!this.loaded) void this.load();
  }

  private receive(event: string, body: unknown): void {
    if (event === "hello") {
      clock.set((body as { at: string }).at);
      this.heardAt = clock.now;
      void this.load();
    } else if (event === "incident") this.incidentChanged(body as Incident);
    else if (event === "device") this.deviceChanged(body as DeviceChange);
    else if (event === "positions") this.moved((body as { items: Position[] }).items);
    else if (event === "gateway") this.gatewayChanged(body as Gateway);
    else if (event === "enrolments" || event === "zones" || event === "resync") void this.load();
  }

  private incidentChanged(incident: Incident): void {
    const before = this.incidents.get(incident.incident);
    if (before && before.version > incident.version) return;
    if (this.loading) this.meanwhile.set(incident.incident, incident);
    this.place(incident);
    this.announce(cueOf(before, incident), incident);
  }

  private announce(cue: Cue, incident: Incident): void {
    if (this.site && incident.site && incident.site !== this.site.site) return;
    const kind = name("alarm", incident.kind);
    const where = this.placeName(incident);
    const priority = `P${incident.priority} ${name("priority", String(incident.priority))}`;
    const text = incident.late
      ? t("announce.late", { kind, place: where })
      : t("announce.new", { priority, kind, place: where });
    cues.announce(cue, text);
  }

  private place(incident: Incident): void {
    const incidents = new Map(this.incidents);
    if (incident.phase === "closed") {
      incidents.delete(incident.incident);
      const others = this.closed.filter((held) => held.incident !== incident.incident);
      const shown = incident.merged_into ? others : [incident, ...others];
      if (this.closedWanted) this.closed = shown.sort(newestFirst).slice(0, CLOSED_MAX);
    } else {
      incidents.set(incident.incident, incident);
      if (incidents.size > ACTIVE_MAX) {
        const last = [...incidents.values()].sort(byUrgency).at(-1);
        if (last) incidents.delete(last.incident);
      }
    }
    this.incidents = incidents;
  }

  private deviceChanged(change: DeviceChange): void {
    const held = this.devices.get(change.device);
    if (!held) {
      this.reloadIn(RELOAD_MS_MIN); // a device that nobody knew when the list was loaded
      return;
    }
    this.devices = new Map(this.devices).set(change.device, { ...held, ...change });
  }

  private moved(positions: Position[]): void {
    const devices = new Map(this.devices);
    for (const position of positions) {
      const held = devices.get(position.device);
      if (held) devices.set(position.device, { ...held, position, last_seen: later(held.last_seen, position.received_at) });
    }
    this.devices = devices;
  }

  private gatewayChanged(gateway: Gateway): void {
    const before = this.gateways.find((held) => held.gateway === gateway.gateway);
    if (before?.documents?.["devices"] !== gateway.documents?.["devices"]) void knocking.load();
    const others = this.gateways.filter((held) => held.gateway !== gateway.gateway);
    this.gateways = [...others, gateway].sort((a, b) => a.gateway.localeCompare(b.gateway)).slice(0, GATEWAYS_MAX);
  }

  private ofSite(incidents: Incident[]): Incident[] {
    const here = this.site?.site;
    return incidents.filter((incident) => !here || !incident.site || incident.site === here);
  }
}

function later(a: string | null, b: string): string {
  return a !== null && Date.parse(a) > Date.parse(b) ? a : b;
}

export const venue = new Venue();

/** How a device is drawn: by its worst raised alarm, else silent when nothing can be heard from it. */
export function deviceState(device: Device): SymbolState {
  const worst = Math.min(9, ...device.alarms.map((kind) => venue.alarmPriority.get(kind) ?? 1));
  const lost = device.alarms.includes("lost_contact");
  if (worst <= 1) return worst === 0 ? "p0" : "p1";
  if (lost || device.last_seen === null || venue.gatewayOffline(device)) return "silent";
  return worst === 2 ? "p2" : "calm";
}
