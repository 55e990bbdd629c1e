// The one clock: ticks each second, in the hub's time. Ages must be right on a PC whose clock is wrong.

class Clock {
  now = $state(Date.now());
  private offsetMs = 0;

  constructor() {
    setInterval(() => this.tick(), 1000);
    document.addEventListener("visibilitychange", () => this.tick());
  }

  /** The hub's time at this moment, for what must not run again each second. */
  get current(): number {
    return Date.now() + this.offsetMs;
  }

  /** The hub said that it is `iso` now. */
  set(iso: string): void {
    const at = Date.parse(iso);
    if (Number.isNaN(at)) return;
    this.offsetMs = at - Date.now();
    this.tick();
  }

  private tick(): void {
    this.now = this.current;
  }
}

export const clock = new Clock();
