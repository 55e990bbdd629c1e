// The quiet grid behind the zones: metres from the site's centre, so that distances can be read without a base map. Pure.

export interface Bounds {
  west: number;
  south: number;
  east: number;
  north: number;
}

export const METRES_PER_DEGREE = 111_320;
const LINES_MAX = 60;
const SPACINGS_M = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000];

/** The spacing that gives about `wanted` lines across the view. */
export function spacingM(bounds: Bounds, latitude: number, wanted = 9): number {
  const widthM = (bounds.east - bounds.west) * METRES_PER_DEGREE * Math.cos((latitude * Math.PI) / 180);
  return SPACINGS_M.find((spacing) => widthM / spacing <= wanted) ?? 100_000;
}

export function gridLines(bounds: Bounds, origin: { longitude: number; latitude: number }): number[][][] {
  const spacing = spacingM(bounds, origin.latitude);
  const dx = spacing / (METRES_PER_DEGREE * Math.cos((origin.latitude * Math.PI) / 180));
  const dy = spacing / METRES_PER_DEGREE;
  const lines: number[][][] = [];
  for (const x of steps(bounds.west, bounds.east, origin.longitude, dx)) lines.push([[x, bounds.south], [x, bounds.north]]);
  for (const y of steps(bounds.south, bounds.north, origin.latitude, dy)) lines.push([[bounds.west, y], [bounds.east, y]]);
  return lines;
}

function steps(from: number, to: number, origin: number, step: number): number[] {
  const first = Math.ceil((from - origin) / step);
  const count = Math.min(LINES_MAX, Math.floor((to - origin) / step) - first + 1);
  return Array.from({ length: Math.max(0, count) }, (_, index) => origin + (first + index) * step);
}
