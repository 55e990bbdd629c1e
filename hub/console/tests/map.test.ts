import { describe, expect, it } from "vitest";
import { chartOf } from "../src/chart";
import { boundsOf, midLatitude } from "../src/map/bounds";
import { gridLines, spacingM } from "../src/map/graticule";
import { slotsOf } from "../src/map/slots";

const VIEW = { west: 120.47, south: 30.73, east: 120.5, north: 30.76 };
const SITE = { longitude: 120.4838, latitude: 30.7436 };

describe("the grid", () => {
  it("stands on the site's centre and fills the view", () => {
    const lines = gridLines(VIEW, SITE);
    expect(lines.some(([from]) => Math.abs((from?.[0] ?? 0) - SITE.longitude) < 1e-9)).toBe(true);
    expect(lines.length).toBeGreaterThan(8);
    expect(spacingM(VIEW, SITE.latitude)).toBe(500);
  });
  it("stays small whatever the view", () => {
    expect(gridLines({ west: -180, south: -85, east: 180, north: 85 }, SITE).length).toBeLessThanOrEqual(120);
    expect(gridLines({ west: 1, south: 1, east: 1, north: 1 }, SITE).length).toBeLessThanOrEqual(2);
  });
});

describe("bounds", () => {
  it("reach over polygons and points and skip what is no number", () => {
    expect(boundsOf([[[[1, 2], [3, 4]]], [0, 9], [NaN, 1]])).toEqual({ west: 0, south: 2, east: 3, north: 9 });
    expect(boundsOf([])).toBeNull();
  });
});

describe("marks", () => {
  it("of one place stand side by side; others stay where they are", () => {
    expect(slotsOf([{ x: 100, y: 100 }, { x: 101, y: 99 }, { x: 100, y: 100 }, { x: 400, y: 100 }])).toEqual([0, 1, 2, 0]);
  });
  it("leave out what would stand too far from its place", () => {
    expect(slotsOf(Array.from({ length: 8 }, () => ({ x: 5, y: 5 })))).toEqual([0, 1, 2, 3, 4, 5, null, null]);
  });
});

describe("the chart", () => {
  const point = (minute: number, mean: number) => ({
    at: `2026-11-24T12:${String(minute).padStart(2, "0")}:00Z`, min: mean - 1, max: mean + 1, mean, count: 5,
  });
  const series = {
    device: "d", metric: "m", component: "", unit: "1", from: "2026-11-24T12:00:00Z", to: "2026-11-24T13:00:00Z", bucket_s: 60,
  };
  it("lifts the pen over a gap", () => {
    const drawn = chartOf({ ...series, items: [point(0, 10), point(1, 12), point(30, 11)] }, 300, 100);
    expect(drawn.line.match(/M/g)).toHaveLength(2);
    expect(drawn.band.match(/M/g)).toHaveLength(1);
    expect([drawn.low, drawn.high]).toEqual([9, 13]);
  });
  it("draws a constant in the middle", () => {
    const flat = { ...point(5, 7), min: 7, max: 7 };
    expect(chartOf({ ...series, items: [flat] }, 300, 100).line).toBe("M25 50h0");
  });
});

describe("a label", () => {
  it("stands inside a bent strip, not in the middle of its box", () => {
    const bent = [[0, 0], [5, 10], [10, 0], [10, 2], [5, 12], [0, 2], [0, 0]];
    expect(midLatitude(bent, 5)).toBe(11);
    expect(midLatitude(bent, 50)).toBeNull();
  });
});
