// The live stream, read with fetch rather than EventSource: EventSource hides the heartbeat comments and the status of a
// refusal, so it can neither tell a silent line from a quiet site nor a lost session from a lost hub.

import { ApiError, endpoint } from "./api";

export interface ServerEvent {
  event: string;
  data: string;
}

const FRAME_CHARS_MAX = 4_000_000;

/** Cuts `text/event-stream` into events, whatever the chunks. A frame over the limit is an error: the hub sends none. */
export class EventCutter {
  private rest = "";
  private half = ""; // a carriage return at the end of a chunk: its line feed may be in the next

  receive(chunk: string): ServerEvent[] {
    const text = this.half + chunk;
    this.half = text.endsWith("\r") ? "\r" : "";
    this.rest += text.slice(0, text.length - this.half.length).replace(/\r\n?/g, "\n");
    const frames = this.rest.split("\n\n");
    this.rest = frames.pop() ?? "";
    if (this.rest.length > FRAME_CHARS_MAX) throw new ApiError(0, "frame too long");
    return frames.flatMap((frame) => cutFrame(frame));
  }
}

function cutFrame(frame: string): ServerEvent[] {
  let event = "message";
  const data: string[] = [];
  for (const line of frame.split("\n")) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") event = value;
    if (name === "data") data.push(value);
  }
  return data.length > 0 ? [{ event, data: data.join("\n") }] : [];
}

const SILENCE_MS_MAX = 40_000; // the hub sends a heartbeat every 15 s
const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 15_000;

export interface StreamHandlers {
  opened: () => void;
  event: (name: string, body: unknown) => void;
  heard: () => void;
  lost: () => void;
  refused: (status: number) => void;
}

/** Full jitter: many consoles that lost one hub do not come back in step. */
export function backoffMs(attempt: number, random: number): number {
  return BACKOFF_MS_MIN + random * Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** attempt);
}

/** Keeps one connection to /live until `stop`; 401 ends it, everything else is tried again. */
export class Stream {
  private readonly handlers: StreamHandlers;
  private connection: AbortController | null = null;
  private stopped = false;
  private attempt = 0;
  private wake: (() => void) | null = null;

  constructor(handlers: StreamHandlers) {
    this.handlers = handlers;
  }

  start(): void {
    addEventListener("offline", this.cut);
    addEventListener("online", this.return);
    void this.keep();
  }

  stop(): void {
    this.stopped = true;
    removeEventListener("offline", this.cut);
    removeEventListener("online", this.return);
    this.connection?.abort();
    this.wake?.();
  }

  /** A person does not want to wait for the next try. */
  retryNow(): void {
    this.attempt = 0;
    this.wake?.();
  }

  // The system says that the line is gone or back: sooner than silence would.
  private readonly cut = (): void => this.connection?.abort();
  private readonly return = (): void => this.retryNow();

  private async keep(): Promise<void> {
    while (!this.stopped) {
      try {
        await this.read();
      } catch (error) {
        if (error instanceof ApiError && error.status === 401) {
          this.stopped = true;
          this.handlers.refused(401);
          return;
        }
      }
      if (this.stopped) return;
      this.handlers.lost();
      await this.pause(backoffMs(this.attempt, Math.random()));
      this.attempt += 1;
    }
  }

  private async read(): Promise<void> {
    const connection = new AbortController();
    this.connection = connection;
    let silence = setTimeout(() => connection.abort(), SILENCE_MS_MAX);
    try {
      const response = await fetch(endpoint("/live"), {
        headers: { Accept: "text/event-stream" },
        credentials: "same-origin",
        cache: "no-store",
        signal: connection.signal,
      });
      if (!response.ok || !response.body) throw new ApiError(response.status, "");
      this.handlers.opened();
      const cutter = new EventCutter();
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => connection.abort(), SILENCE_MS_MAX);
        this.attempt = 0;
        this.handlers.heard();
        for (const found of cutter.receive(decoder.decode(value, { stream: true }))) {
          this.handlers.event(found.event, JSON.parse(found.data));
        }
      }
    } finally {
      clearTimeout(silence);
      connection.abort();
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
