// The map's style: no tiles, no glyph or sprite server. Text is drawn from the fonts of this machine.

import type { ExpressionSpecification, StyleSpecification } from "maplibre-gl";
import type { Device, Incident, Zone } from "../types";
import { stageOf } from "../queue";
import { boundsOf, midLatitude } from "./bounds";
import { KINDS, type SymbolKind, type SymbolState } from "./symbols";

export interface MapColours {
  bg: string;
  grid: string;
  text: string;
  halo: string;
  ring: string;
  building: string;
  buildingLine: string;
  water: string;
  street: string;
  gate: string;
  parking: string;
  p0: string;
  p1: string;
  p2: string;
}

const DARK = {
  grid: "#18222b", halo: "#0b1015", ring: "#2f9d92", building: "#25323f", buildingLine: "#5a7086", water: "#17405e",
  street: "#2b2f35", gate: "#5a4616", parking: "#1d2a36",
};
const LIGHT = {
  grid: "#e2e8ee", halo: "#ffffff", ring: "#1d9a8d", building: "#d5dde6", buildingLine: "#8497aa", water: "#bcdcf1",
  street: "#e4e1d9", gate: "#f1dfae", parking: "#dbe4ec",
};

export function mapColours(dark: boolean, of: (variable: string) => string): MapColours {
  const own = { bg: of("bg"), text: of("muted"), p0: of("p0"), p1: of("p1"), p2: of("p2") };
  return { ...(dark ? DARK : LIGHT), ...own };
}

const FONT = ["system-ui", "Noto Sans CJK SC", "sans-serif"];
const SYMBOL_SIZE: ExpressionSpecification = ["interpolate", ["linear"], ["zoom"], 13, 0.62, 16, 0.9, 18, 1];
const EMPTY = { type: "FeatureCollection" as const, features: [] };

export function styleOf(c: MapColours): StyleSpecification {
  const source = { type: "geojson" as const, data: EMPTY };
  const isRing: ExpressionSpecification = ["==", ["get", "purpose"], "ring"];
  const isRegion: ExpressionSpecification = ["==", ["get", "purpose"], "region"];
  return {
    version: 8,
    sources: { grid: source, zones: source, labels: source, devices: source, chosen: source },
    layers: [
      { id: "background", type: "background", paint: { "background-color": c.bg } },
      { id: "grid", type: "line", source: "grid", paint: { "line-color": c.grid, "line-width": 1 } },
      { id: "region-line", type: "line", source: "zones", filter: isRegion, paint: { "line-color": c.buildingLine, "line-width": 1.5 } },
      {
        id: "ring-fill", type: "fill", source: "zones", filter: isRing,
        layout: { "fill-sort-key": ["-", 0, ["get", "ring"]] },
        paint: { "fill-color": c.ring, "fill-opacity": ["match", ["get", "ring"], 1, 0.08, 2, 0.045, 0.03] },
      },
      {
        id: "ring-line", type: "line", source: "zones", filter: isRing,
        paint: {
          "line-color": c.ring, "line-opacity": ["match", ["get", "ring"], 1, 0.85, 2, 0.6, 0.45],
          "line-width": ["match", ["get", "ring"], 1, 1.8, 1.2], "line-dasharray": [4, 3],
        },
      },
      {
        id: "zone-fill", type: "fill", source: "zones", filter: ["!", ["any", isRing, isRegion]],
        layout: { "fill-sort-key": ["match", ["get", "purpose"], "water", 0, "street", 1, 2] },
        paint: {
          "fill-color": ["match", ["get", "purpose"], "building", c.building, "water", c.water, "street", c.street, "gate", c.gate, "parking", c.parking, c.building],
          "fill-opacity": 0.9,
        },
      },
      {
        id: "zone-line", type: "line", source: "zones", filter: ["in", ["get", "purpose"], ["literal", ["building", "gate", "parking"]]],
        paint: { "line-color": c.buildingLine, "line-width": 1 },
      },
      {
        id: "zone-alarm", type: "line", source: "zones", filter: ["has", "grade"],
        paint: { "line-color": ["match", ["get", "grade"], 0, c.p0, c.p1], "line-width": ["match", ["get", "grade"], 0, 4, 2.5] },
      },
      {
        id: "ring-label", type: "symbol", source: "zones", filter: isRing,
        layout: {
          "symbol-placement": "line", "symbol-spacing": 420, "text-field": ["get", "label"], "text-font": FONT,
          "text-size": 12, "text-letter-spacing": 0.06,
        },
        paint: { "text-color": c.text, "text-halo-color": c.halo, "text-halo-width": 2 },
      },
      {
        id: "zone-label", type: "symbol", source: "labels",
        layout: {
          "text-field": ["get", "label"], "text-font": FONT, "text-size": ["interpolate", ["linear"], ["zoom"], 13, 11, 17, 14],
          "text-max-width": 10, "text-padding": 4, "symbol-sort-key": ["get", "rank"],
          "text-anchor": ["case", ["get", "below"], "top", "center"],
          "text-offset": ["case", ["get", "below"], ["literal", [0, 0.35]], ["literal", [0, 0]]],
        },
        paint: { "text-color": c.text, "text-halo-color": c.halo, "text-halo-width": 1.6 },
      },
      {
        id: "chosen", type: "circle", source: "chosen",
        paint: { "circle-radius": 22, "circle-color": "transparent", "circle-stroke-width": 3, "circle-stroke-color": c.ring },
      },
      {
        id: "course", type: "symbol", source: "devices", filter: ["has", "course"],
        layout: { "icon-image": "course", "icon-size": SYMBOL_SIZE, "icon-rotate": ["get", "course"], "icon-rotation-alignment": "map", "icon-allow-overlap": true, "icon-ignore-placement": true },
      },
      {
        id: "devices", type: "symbol", source: "devices",
        layout: {
          "icon-image": ["get", "icon"], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "rank"],
          "icon-size": SYMBOL_SIZE,
        },
      },
      {
        id: "device-label", type: "symbol", source: "devices", minzoom: 16.2,
        layout: {
          "text-field": ["get", "name"], "text-font": FONT, "text-size": 12, "text-anchor": "top", "text-offset": [0, 1.5],
          "text-max-width": 12, "text-optional": true,
        },
        paint: { "text-color": c.text, "text-halo-color": c.halo, "text-halo-width": 1.6 },
      },
    ],
  };
}

type Features = GeoJSON.FeatureCollection;
const NAME_CHARS_MAX = 40;

const ENCLOSED: ReadonlySet<string> = new Set(["building", "gate", "parking"]);
const LOUD_PRIORITY_MAX = 1;

/** Zones with their label in the language; an enclosed one with the grade of its worst P0 or P1 that is not settled. */
export function zoneFeatures(zones: readonly Zone[], incidents: readonly Incident[], label: (zone: Zone) => string): Features {
  const grades = new Map<string, number>();
  for (const incident of incidents) {
    if (!incident.zone || stageOf(incident) === "settled" || incident.priority > LOUD_PRIORITY_MAX) continue;
    grades.set(incident.zone, Math.min(incident.priority, grades.get(incident.zone) ?? LOUD_PRIORITY_MAX));
  }
  return collection(
    zones.map((zone) => {
      const { purpose, ring } = zone.properties;
      const grade = ENCLOSED.has(purpose) ? grades.get(zone.properties.zone) : undefined;
      return feature(zone.geometry as GeoJSON.Geometry, {
        purpose, ring, label: labelText(label(zone)), ...(grade === undefined ? {} : { grade }),
      });
    }),
  );
}

/** A point for each label: below what is enclosed, because symbols stand inside it; in the middle of streets and water. */
export function labelFeatures(zones: readonly Zone[], label: (zone: Zone) => string): Features {
  const features: GeoJSON.Feature[] = [];
  for (const zone of zones) {
    const { purpose } = zone.properties;
    const bounds = boundsOf([zone.geometry.coordinates]);
    if (purpose === "ring" || !bounds) continue;
    const below = ENCLOSED.has(purpose);
    const longitude = (bounds.west + bounds.east) / 2;
    const [outer] = (zone.geometry.type === "Polygon" ? zone.geometry.coordinates : []) as unknown[][];
    const middle = midLatitude(outer ?? [], longitude) ?? (bounds.south + bounds.north) / 2;
    const point: GeoJSON.Point = { type: "Point", coordinates: [longitude, below ? bounds.south : middle] };
    features.push(feature(point, { label: labelText(label(zone)), below, rank: below ? 0 : 1 }));
  }
  return collection(features);
}

function labelText(text: string): string {
  return text.slice(0, NAME_CHARS_MAX);
}

function feature(geometry: GeoJSON.Geometry, properties: GeoJSON.GeoJsonProperties): GeoJSON.Feature {
  return { type: "Feature", geometry, properties };
}

function collection(features: GeoJSON.Feature[]): Features {
  return { type: "FeatureCollection", features };
}

export function spotOf(device: Device): [number, number] | null {
  const at = device.position ?? device;
  return at.longitude === null || at.latitude === null ? null : [at.longitude, at.latitude];
}

const MOVING_KMH_MIN = 1;

export function deviceFeatures(
  devices: Iterable<Device>,
  stateOf: (device: Device) => SymbolState,
  nameOf: (device: Device) => string,
): Features {
  const features: GeoJSON.Feature[] = [];
  for (const device of devices) {
    const spot = spotOf(device);
    if (!spot) continue;
    const state = stateOf(device);
    const kind: SymbolKind = KINDS.find((known) => known === device.kind) ?? "device";
    const { position } = device;
    const moving = position?.course_deg != null && (position.speed_kmh ?? 0) >= MOVING_KMH_MIN && device.kind === "vehicle" && state !== "silent";
    features.push({
      type: "Feature",
      geometry: { type: "Point", coordinates: spot },
      properties: {
        device: device.device,
        name: nameOf(device).slice(0, NAME_CHARS_MAX),
        icon: `${kind}-${state}`,
        rank: ["silent", "calm", "p2", "p1", "p0"].indexOf(state),
        ...(moving ? { course: position.course_deg } : {}),
      },
    });
  }
  return { type: "FeatureCollection", features };
}
