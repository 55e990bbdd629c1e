// How far things reach, and where inside them a label stands. Pure.

import type { Bounds } from "./graticule";

/** Of GeoJSON coordinates nested however deep; null when there is no finite point. */
export function boundsOf(coordinates: readonly unknown[]): Bounds | null {
  const found: Bounds = { west: Infinity, south: Infinity, east: -Infinity, north: -Infinity };
  const visit = (part: unknown): void => {
    if (!Array.isArray(part)) return;
    const [x, y] = part as unknown[];
    if (typeof x === "number" && typeof y === "number") {
      if (!Number.isFinite(x) || !Number.isFinite(y)) return;
      found.west = Math.min(found.west, x);
      found.east = Math.max(found.east, x);
      found.south = Math.min(found.south, y);
      found.north = Math.max(found.north, y);
    } else part.forEach(visit);
  };
  visit(coordinates);
  return found.west <= found.east ? found : null;
}

/** The latitude halfway through a polygon's outer ring at `longitude`; null when the line misses it. */
export function midLatitude(outer: readonly unknown[], longitude: number): number | null {
  const points = outer.filter((point): point is [number, number] => Array.isArray(point) && point.length >= 2);
  const crossings = points.flatMap(([x1, y1], index) => {
    const [x2, y2] = points[index + 1] ?? [x1, y1];
    if (x1 > longitude === x2 > longitude) return [];
    return [y1 + ((longitude - x1) / (x2 - x1)) * (y2 - y1)];
  });
  const [low, high] = crossings.sort((a, b) => a - b);
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
