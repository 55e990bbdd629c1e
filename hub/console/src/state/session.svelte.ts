// Who is signed in. A 401 from anywhere leads here; the address stays, so that signing in leads back.

import { ApiError, get, onSignedOut, post, sessionBegan } from "../api";
import type { Me } from "../types";

class Session {
  me = $state<Me | null>(null);
  state = $state<"asking" | "out" | "in" | "unreachable">("asking");
  ended = $state(false);

  constructor() {
    onSignedOut(() => {
      if (this.state === "in") this.ended = true; // several requests are refused at once: the first one counts
      this.leave();
    });
  }

  async ask(): Promise<void> {
    try {
      this.me = await get<Me>("/me");
      this.state = "in";
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return; // said by onSignedOut, unless it came too late
      this.state = "unreachable";
    }
  }

  /** Throws ApiError. */
  async signIn(name: string, password: string): Promise<void> {
    this.me = await post<Me>("/login", { name, password });
    sessionBegan();
    this.ended = false;
    this.state = "in";
  }

  async signOut(): Promise<void> {
    try {
      await post("/logout");
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) throw error;
    }
    this.ended = false;
    this.leave();
  }

  private leave(): void {
    this.me = null;
    this.state = "out";
  }
}

export const session = new Session();
