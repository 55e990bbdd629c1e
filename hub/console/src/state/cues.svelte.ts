// Sound and spoken announcements for new incidents. Browsers let no page sound before a click, so the state says which of
// the three it is: off (the operator's choice, and the start), blocked (wanted, but the browser waits for a click), on.

import type { Cue } from "../queue";
import { preferences } from "./preferences.svelte";

const ANNOUNCED_MAX = 5;
const RING_AGAIN_MS = 15_000;
const TONE_S = 0.2;

class Cues {
  sound = $state<"off" | "blocked" | "on">("off");
  polite = $state<string[]>([]);
  assertive = $state<string[]>([]);
  hushed = $state(false); // the operator has heard it: quiet until the next life is in danger
  private audio: AudioContext | null = null;
  private quietAt = 0; // in the audio's own time
  private calling: ReturnType<typeof setInterval> | undefined;

  constructor() {
    if (preferences.sound) this.open();
  }

  toggle(): void {
    if (this.sound === "on") {
      preferences.setSound(false);
      this.sound = "off";
      void this.audio?.suspend();
      return;
    }
    preferences.setSound(true);
    this.open();
    void this.audio?.resume().then(() => {
      this.read();
      this.ring("quiet");
    });
  }

  /** While a life in danger is not acknowledged it rings again and again. */
  call(wanted: boolean): void {
    if (wanted === (this.calling !== undefined)) return;
    clearInterval(this.calling);
    this.calling = wanted ? setInterval(() => this.hushed || this.ring("life"), RING_AGAIN_MS) : undefined;
    if (!wanted) this.hushed = false;
  }

  hush(): void {
    this.hushed = !this.hushed;
  }

  announce(cue: Cue, text: string): void {
    if (cue === "none") return;
    if (cue === "life") this.hushed = false;
    if (cue === "life") this.assertive = [...this.assertive, text].slice(-ANNOUNCED_MAX);
    else this.polite = [...this.polite, text].slice(-ANNOUNCED_MAX);
    if (cue === "life" || cue === "loud") this.ring(cue);
  }

  private open(): void {
    if (!this.audio) {
      this.audio = new AudioContext();
      this.audio.addEventListener("statechange", () => this.read());
    }
    this.read();
  }

  private read(): void {
    if (!preferences.sound) this.sound = "off";
    else this.sound = this.audio?.state === "running" ? "on" : "blocked";
  }

  /** Three falling tones for a life, two for the rest, one to show that sound works. */
  private ring(cue: Cue): void {
    const audio = this.audio;
    if (!audio || audio.state !== "running" || !preferences.sound || audio.currentTime < this.quietAt) return;
    const tones = cue === "life" ? [988, 784, 988, 784, 988, 784] : cue === "loud" ? [784, 659] : [659];
    this.quietAt = audio.currentTime + tones.length * TONE_S; // several at once are one call, not a noise
    tones.forEach((tone, index) => {
      const start = audio.currentTime + index * TONE_S;
      const source = audio.createOscillator();
      const gain = audio.createGain();
      source.type = "triangle";
      source.frequency.value = tone;
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.25, start + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, start + 0.18);
      source.connect(gain).connect(audio.destination);
      source.start(start);
      source.stop(start + TONE_S);
    });
  }
}

export const cues = new Cues();
