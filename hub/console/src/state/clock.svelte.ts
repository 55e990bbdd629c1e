// The one clock: ticks each second, in the hub's time. Ages must be right on a PC whose clock is wrong.

class Clock {
  now = $state(Date.now());
  private offsetMs = 0;

  constructor() {
    setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.tick());
  }

  /** The hub said that it is `iso` now. */
  set(iso: string): void {
    const at = Date.parse(iso);
    if (Number.isNaN(at)) return;
    this.offsetMs = at - Date.now();
    this.tick();
  }

  private tick(): void {
    this.now = Date.now() + this.offsetMs;
  }
}

export const clock = new Clock();
