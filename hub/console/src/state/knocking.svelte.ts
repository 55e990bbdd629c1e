// Devices that knock at a gateway without being enrolled, and what became of those that people of this page enrolled.
// Loaded with everything else, again when somebody enrols, and now and then while the list is open: a knock makes no
// event of the stream.

import { get, list, post, query, remove, route } from "../api";
import type { Enrolment, Page, Stranger } from "../types";

const STRANGERS_MAX = 200;
const ENROLMENTS_MAX = 1000;
const LOOK_MS = 10_000;

/** One device at one gateway. */
export function keyOf(one: { gateway: string; device: string }): string {
  return `${one.gateway} ${one.device}`;
}

class Knocking {
  strangers = $state.raw<readonly Stranger[]>([]);
  enrolments = $state.raw<readonly Enrolment[]>([]);
  private mine = $state.raw<ReadonlySet<string>>(new Set());
  private timer: ReturnType<typeof setInterval> | undefined;
  private site = "";

  /** What is worth a row: what a gateway has not taken yet, or not at all, and what was enrolled from this page. */
  open = $derived(this.enrolments.filter((one) => one.state !== "held" || this.mine.has(keyOf(one))));

  /** Look now and then, until the returned function is called. */
  watch(): () => void {
    void this.load();
    this.timer = setInterval(() => void this.load(), LOOK_MS);
    return () => {
      clearInterval(this.timer);
      this.mine = new Set();
    };
  }

  /** A list that does not come leaves the one that is there; the banner says when the hub is away. */
  async load(site = this.site): Promise<void> {
    this.site = site;
    try {
      const [strangers, enrolments] = await Promise.all([
        get<Page<Stranger>>(`/strangers${query({ site, limit: STRANGERS_MAX })}`),
        list<Enrolment>("/enrolments", site ? { site } : {}, ENROLMENTS_MAX),
      ]);
      this.strangers = strangers.items;
      this.enrolments = enrolments;
    } catch {
      return;
    }
  }

  /** Throws ApiError. */
  async enrol({ gateway, device, link }: Stranger): Promise<void> {
    this.mine = new Set([...this.mine, keyOf({ gateway, device })]);
    this.take(await post<Enrolment>("/enrolments", { gateway, device, link }));
    this.strangers = this.strangers.filter((one) => keyOf(one) !== keyOf({ gateway, device }));
  }

  /** Throws ApiError. */
  async rename({ gateway, device }: Enrolment, name: string): Promise<void> {
    this.take(await post<Enrolment>("/enrolments", { gateway, device, name }));
  }

  /** Throws ApiError. */
  async withdraw({ gateway, device }: Enrolment): Promise<void> {
    await remove(route`/enrolments/${gateway}/${device}`);
    this.enrolments = this.enrolments.filter((one) => keyOf(one) !== keyOf({ gateway, device }));
    void this.load();
  }

  forget(): void {
    [this.strangers, this.enrolments, this.mine] = [[], [], new Set()];
  }

  private take(enrolment: Enrolment): void {
    const others = this.enrolments.filter((one) => keyOf(one) !== keyOf(enrolment));
    this.enrolments = [enrolment, ...others];
  }
}

export const knocking = new Knocking();
