// One incident, open on the screen: loaded, followed, worked on. Draft texts outlive reloads and refusals.

import { ApiError, get, post, route } from "../api";
import { partBook } from "../naming";
import type { Condition, IncidentDetail } from "../types";
import { venue } from "./venue.svelte";

export class Case {
  readonly number: number;
  detail = $state.raw<IncidentDetail | null>(null);
  problem = $state.raw<unknown>(null);
  missing = $state(false);
  moved = $state(false);
  busy = $state(false);
  drafts = $state<Record<string, string>>({});

  /** What the devices themselves call their parts, by "device component". */
  parts = $derived(partBook(this.detail?.alarms ?? []));

  private loading = false;
  private again = false;

  constructor(number: number) {
    this.number = number;
  }

  part(condition: Condition): string {
    return this.parts.get(`${condition.device} ${condition.component}`) ?? "";
  }

  async load(): Promise<void> {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    try {
      do {
        this.again = false;
        this.detail = await this.read();
        this.problem = null;
        if (await this.look()) this.detail = await this.read();
      } while (this.again);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) this.missing = true;
      else this.problem = error;
    } finally {
      this.loading = false;
    }
  }

  /** The fourth time of an alarm: only when a person can really see it. True when something new was marked. */
  async look(): Promise<boolean> {
    const unseen = this.detail?.alarms.some((alarm) => alarm.raised && alarm.seen_at === null) ?? false;
    if (!unseen || document.visibilityState !== "visible") return false;
    await post(route`/incidents/${this.number}/seen`, { through: this.detail?.through });
    return true;
  }

  /** Throws ApiError, after it has reloaded when the incident had moved on. */
  async step(action: string, reason: string, isolated: boolean): Promise<void> {
    if (!this.detail || this.busy) return;
    this.busy = true;
    this.moved = false;
    try {
      const body = { action, ...(reason ? { reason } : {}), ...(isolated ? { isolated } : {}) };
      const headers = { "If-Match": `"${this.detail.version}"` };
      this.detail = await post<IncidentDetail>(route`/incidents/${this.number}/steps`, body, headers);
      this.drafts[action] = "";
      venue.take(this.detail);
    } catch (error) {
      if (error instanceof ApiError && error.status === 412) this.moved = true;
      if (error instanceof ApiError && (error.status === 412 || error.status === 409)) await this.load();
      throw error;
    } finally {
      this.busy = false;
    }
  }

  private read(): Promise<IncidentDetail> {
    return get<IncidentDetail>(route`/incidents/${this.number}`);
  }
}
