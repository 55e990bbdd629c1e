// What people of this page asked gateways to do, and what came of it. Newest first; the record for others is in the
// gateway's events.

import { ApiError, post, route } from "../api";
import type { CommandDone } from "../types";
import { clock } from "./clock.svelte";
import { session } from "./session.svelte";

const ORDERS_MAX = 50;

/** `waiting`: sent, no answer yet. `unknown`: the way to the hub broke, so it may or may not have been sent. */
export type OrderResult = "waiting" | CommandDone["result"] | "unknown";

export interface Order {
  number: number;
  gateway: string;
  actuator: string;
  value: "on" | "off";
  actor: string;
  at: string;
  result: OrderResult;
  reason: string;
}

class Orders {
  given = $state.raw<readonly Order[]>([]);
  private count = 0;

  latest(gateway: string, actuator: string): Order | undefined {
    return this.given.find((order) => order.gateway === gateway && order.actuator === actuator);
  }

  /** Throws ApiError when the hub itself said no; that the gateway did is a result. */
  async give(gateway: string, actuator: string, value: "on" | "off"): Promise<void> {
    const actor = session.me?.display_name ?? "";
    const at = new Date(clock.current).toISOString();
    const number = ++this.count;
    const order: Order = { number, gateway, actuator, value, actor, at, result: "waiting", reason: "" };
    this.given = [order, ...this.given].slice(0, ORDERS_MAX);
    try {
      const body = { action: "actuator.set", target: actuator, value };
      const done = await post<CommandDone>(route`/gateways/${gateway}/commands`, body);
      this.settle(number, done.result, done.reason);
    } catch (error) {
      const known = error instanceof ApiError && error.status >= 400 && error.status < 500;
      this.settle(number, known ? "refused" : "unknown", known ? error.detail : "");
      if (known) throw error;
    }
  }

  forget(): void {
    this.given = [];
  }

  private settle(number: number, result: OrderResult, reason: string): void {
    const at = new Date(clock.current).toISOString();
    this.given = this.given.map((order) => (order.number === number ? { ...order, result, reason, at } : order));
  }
}

export const orders = new Orders();
