// The map's symbols, drawn on a canvas: shape says the kind, fill and mark say the state; colour only repeats it.

export const KINDS = ["panel", "band", "vehicle", "gateway", "device"] as const;
export const STATES = ["calm", "p0", "p1", "p2", "silent"] as const;
export type SymbolKind = (typeof KINDS)[number];
export type SymbolState = (typeof STATES)[number];

export type Colours = Record<"surface" | "text" | "muted" | "line-strong" | "accent" | "p0" | "p0-text" | "p1" | "p1-text" | "p2" | "p2-text", string>;

const SIZE = 30; // CSS pixels
export const RATIO = 2;

const OUTLINES: Record<SymbolKind, string> = {
  panel: "M5 3h20a2 2 0 012 2v20a2 2 0 01-2 2H5a2 2 0 01-2-2V5a2 2 0 012-2z",
  band: "M15 3a12 12 0 100 24 12 12 0 000-24z",
  vehicle: "M9 5h12a7 7 0 017 7v6a7 7 0 01-7 7H9a7 7 0 01-7-7v-6a7 7 0 017-7z",
  gateway: "M15 2l11.500 6.500v13L15 28 3.500 21.500v-13z",
  device: "M15 2l13 13-13 13L2 15z",
};

const GLYPHS: Record<SymbolKind, { path: string; filled: boolean }> = {
  panel: { path: "M15.500 6.500c.8 3.500 5.500 5.500 5.500 10.500a6 6 0 01-12 0c0-2.500 1.300-4 2.600-5.300.2 1.600.9 2.600 1.900 3 .2-3.200.4-6 2-8.200z", filled: true },
  band: { path: "M15 7a3.600 3.600 0 100 7.200A3.600 3.600 0 0015 7zM8.300 22.500a6.700 6.700 0 0113.400 0z", filled: true },
  vehicle: { path: "M7 16.500l2.200-5.700A2 2 0 0111 9.500h8a2 2 0 011.800 1.300L23 16.500v4.500h-3v-2H10v2H7z", filled: true },
  gateway: { path: "M15 22v-6M15 16h.01M10.800 13.200a6 6 0 018.400 0M8.300 10.300a9.600 9.600 0 0113.400 0", filled: false },
  device: { path: "M15 10v10M10 15h10", filled: false },
};

/** One symbol as pixels, twice as fine as the screen's. */
export function drawSymbol(kind: SymbolKind, state: SymbolState, colours: Colours): ImageData {
  const context = canvas(SIZE);
  const outline = new Path2D(OUTLINES[kind]);
  const alarm = state === "p0" || state === "p1" || state === "p2";
  if (alarm) {
    context.lineWidth = 5;
    context.strokeStyle = colours.surface;
    context.stroke(outline);
  }
  context.fillStyle = alarm ? colours[state] : colours.surface;
  context.fill(outline);
  context.lineWidth = alarm ? 2 : 1.6;
  context.strokeStyle = alarm ? colours.surface : state === "silent" ? colours.muted : colours.text;
  if (state === "silent") context.setLineDash([3, 2.5]);
  context.stroke(outline);
  context.setLineDash([]);
  const ink = alarm ? colours[`${state}-text`] : state === "silent" ? colours.muted : colours.text;
  const glyph = new Path2D(GLYPHS[kind].path);
  [context.fillStyle, context.strokeStyle, context.lineWidth] = [ink, ink, 1.8];
  context.lineCap = "round";
  if (GLYPHS[kind].filled) context.fill(glyph);
  else context.stroke(glyph);
  if (state === "silent") context.stroke(new Path2D("M6 24L24 6"));
  return context.getImageData(0, 0, SIZE * RATIO, SIZE * RATIO);
}

/** A wedge outside the symbol, pointing north: rotated by the course. */
export function drawCourse(colours: Colours): ImageData {
  const context = canvas(52);
  const wedge = new Path2D("M26 1l7.500 11c-4.600-2.300-10.400-2.300-15 0z");
  context.fillStyle = colours.accent;
  context.strokeStyle = colours.surface;
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.fill(wedge);
  context.stroke(wedge);
  return context.getImageData(0, 0, 52 * RATIO, 52 * RATIO);
}

function canvas(size: number): CanvasRenderingContext2D {
  const element = document.createElement("canvas");
  element.width = element.height = size * RATIO;
  const context = element.getContext("2d");
  if (!context) throw new Error("no 2d canvas");
  context.scale(RATIO, RATIO);
  return context;
}
