// How far things reach. Pure.

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
