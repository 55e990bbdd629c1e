// The paths of a small chart. Pure.

import type { Series } from "./types";

export interface Chart {
  line: string;
  band: string;
  low: number;
  high: number;
}

const MARGIN = 6;

/** Times across `from`…`to`, values up the height; a gap of more than three buckets lifts the pen. */
export function chartOf(series: Series, width: number, height: number): Chart {
  const start = Date.parse(series.from);
  const span = Math.max(1, Date.parse(series.to) - start);
  const low = Math.min(...series.items.map((item) => item.min));
  const high = Math.max(...series.items.map((item) => item.max));
  const range = high - low || 1;
  const x = (at: string) => round(((Date.parse(at) - start) / span) * width);
  const y = (value: number) => (high === low ? height / 2 : round(height - MARGIN - ((value - low) / range) * (height - 2 * MARGIN)));
  const gapMs = series.bucket_s * 3000;
  let line = "";
  let last: number | null = null;
  const runs: Series["items"][] = [];
  for (const item of series.items) {
    const at = Date.parse(item.at);
    const apart = last === null || at - last > gapMs;
    if (apart) runs.push([]);
    runs.at(-1)?.push(item);
    // A lone point still has to be seen: a line of no length with round ends is a dot.
    line += apart ? `M${x(item.at)} ${y(item.mean)}h0` : `L${x(item.at)} ${y(item.mean)}`;
    last = at;
  }
  const band = runs
    .filter((run) => run.length > 1)
    .map((run) => {
      const up = run.map((item) => `${x(item.at)} ${y(item.max)}`);
      const down = [...run].reverse().map((item) => `${x(item.at)} ${y(item.min)}`);
      return `M${[...up, ...down].join("L")}Z`;
    })
    .join("");
  return { line, band, low, high };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
